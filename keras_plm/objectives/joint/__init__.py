"""Objectives that are made of objectives, and their parts that have no rows of their own."""
