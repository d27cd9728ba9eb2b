"""The files of a task's preset: backbone, settings, and heads by name."""
