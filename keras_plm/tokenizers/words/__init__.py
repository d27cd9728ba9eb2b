"""Tokenizers whose units are words: rules that find them, a vocabulary, and their characters."""
