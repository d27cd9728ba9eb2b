"""What an example is made of: which parts of a corpus stand in which row."""
