"""Backbones a few tokens at a time: what each keeps of the text that it has read."""
