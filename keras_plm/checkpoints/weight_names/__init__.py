"""What other people's files call the weights of our architectures."""
