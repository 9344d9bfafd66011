"""The finisher: packs and uploads what a run leaves behind, detached."""
