"""The job `restore`: brings a checkpoint back into the project."""
