"""Several tasks on one backbone: their parts, their data, and the step that chooses one."""
