"""Rows that bring a label along, for ERNIE 2.0's tasks."""
