"""Heads that predict a token of a vocabulary, or an entity of a table."""
