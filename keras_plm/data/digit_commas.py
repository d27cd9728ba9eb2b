"""XLNet's rule for commas after digits: "2000," is never one piece."""


def digit_comma_splits(processor):
    """What each piece that ends in a digit and a comma becomes when the comma is split off.

    Such a piece is encoded anew without its comma, a word start that this brings in is taken
    away again, and the comma becomes a piece of its own.

    Args:
        processor: `sentencepiece.SentencePieceProcessor`.

    Returns:
        dict of id to a pair of lists: the new ids, and the characters of each.

    Source: `encode_pieces` in `prepro_utils.py`, released with XLNet.
    """
    splits = {}
    for index in range(len(processor)):
        piece = processor.id_to_piece(index)
        if len(piece) < 2 or piece[-1] != "," or not piece[-2].isdigit():
            continue
        parts = processor.encode(piece[:-1].replace("▁", ""), out_type=str)
        if piece[0] != "▁" and parts and parts[0][0] == "▁":
            parts = [parts[0][1:], *parts[1:]] if len(parts[0]) > 1 else parts[1:]
        parts.append(",")
        splits[index] = [processor.piece_to_id(part) for part in parts], [len(p) for p in parts]
    return splits


def split_digit_commas(ids, lengths, splits):
    """Put the parts of pieces in the place of the pieces.

    Args:
        ids: list of int.
        lengths: list of int, the characters of each piece.
        splits: dict, from `digit_comma_splits`.

    Returns:
        The new ids and lengths, two lists.
    """
    new_ids, new_lengths = [], []
    for index, length in zip(ids, lengths):
        part_ids, part_lengths = splits.get(index, ([index], [length]))
        new_ids += part_ids
        new_lengths += part_lengths
    return new_ids, new_lengths
