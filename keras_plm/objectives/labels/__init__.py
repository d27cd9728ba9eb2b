"""Labels of rows and of tokens: what is made of them, and ERNIE 2.0's, which need no annotator."""
