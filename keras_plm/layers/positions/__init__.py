"""Where a token stands: relative to another, or by a wave of its own."""
