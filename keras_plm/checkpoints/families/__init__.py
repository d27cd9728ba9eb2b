"""One table for each family of released checkpoints: what its files call our weights."""
