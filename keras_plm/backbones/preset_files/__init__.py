"""The files of a backbone's preset: written whole, and read without trusting them."""
