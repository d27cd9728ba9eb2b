"""Files of arrays and pickles, whoever wrote them, read without running anything."""
