"""Attention: projected rows, one or two streams, and what is added to its scores."""
