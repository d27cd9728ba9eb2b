"""Objectives that predict tokens in a random order."""
