"""What trains the weights: optimizers of the papers, and of groups of variables."""
