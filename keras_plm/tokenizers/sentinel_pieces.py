"""T5's sentinels as pieces of a SentencePiece model."""

from keras_plm.tokenizers.tokenizers_json import USER_DEFINED, piece_entry

# Words of their own, as seqio's `extra_ids` makes them of the released model.
SENTINEL_PIECE = "▁<extra_id_{}>"
MOST_SENTINELS = 10_000


def sentinel_entries(number):
    """Make sentinels as more pieces of a SentencePiece model, the last sentinel first.

    Args:
        number: int. How many.

    Returns:
        bytes, to be put at the end of the serialised model.
    """
    pieces = (SENTINEL_PIECE.format(one) for one in reversed(range(number)))
    return b"".join(piece_entry(piece, 0.0, USER_DEFINED) for piece in pieces)


def sentinel_ids(processor):
    """Find the sentinels that a SentencePiece model has.

    Args:
        processor: `sentencepiece.SentencePieceProcessor`.

    Returns:
        dict of "extra_id_0", "extra_id_1", ... to an id.
    """
    ids = {}
    for number in range(MOST_SENTINELS):
        piece = SENTINEL_PIECE.format(number)
        index = processor.piece_to_id(piece)
        if processor.id_to_piece(index) != piece:
            break
        ids[f"extra_id_{number}"] = index
    return ids
