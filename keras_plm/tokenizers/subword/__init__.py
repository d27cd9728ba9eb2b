"""WordPiece and byte pairs, over the library `tokenizers`."""
