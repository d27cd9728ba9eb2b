"""Tables that make token states of ids."""
