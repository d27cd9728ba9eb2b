"""What tasks are given, as the batches that a model takes."""
