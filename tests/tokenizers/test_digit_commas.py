from keras_plm.tokenizers.text_normalization import digit_comma_splits, split_digit_commas

PIECES = ["<unk>", ",", "▁1999,", "0,", "a,", "▁19", "99", "▁0", "0", "▁"]
SPELLED = {"1999": ["▁19", "99"], "0": ["▁0"]}


class Processor:
    """Spells as a SentencePiece model of these pieces would: a word start comes first."""

    id_to_piece = PIECES.__getitem__
    piece_to_id = PIECES.index

    def __len__(self):
        return len(PIECES)

    def encode(self, text, out_type):
        return list(SPELLED[text])


def test_pieces_that_end_in_a_digit_and_a_comma_are_split():
    splits = digit_comma_splits(Processor())
    assert splits == {
        2: ([5, 6, 1], [3, 2, 1]),  # ▁1999, -> ▁19 99 ,
        3: ([8, 1], [1, 1]),  # 0, inside a word: no word start comes in
    }


def test_parts_take_the_place_of_the_piece():
    splits = {2: ([5, 6, 1], [3, 2, 1])}
    assert split_digit_commas([4, 2, 9], [2, 6, 1], splits) == ([4, 5, 6, 1, 9], [2, 3, 2, 1, 1])
    assert split_digit_commas([], [], splits) == ([], [])
