"""The keeper: finds the checkpoints of a training, and sends those that are complete to S3 while it runs."""
