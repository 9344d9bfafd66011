"""Whether a file of a known format ends as its writer ends it. Nothing is unpickled, and nothing of a file is run."""
