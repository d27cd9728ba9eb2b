"""Tasks that write and score texts."""
