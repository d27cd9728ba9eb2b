"""Labels of texts and tokens that need no annotator: ERNIE 2.0's tasks beside masked words."""
