"""Rows with hidden tokens: texts in which masks are written, and each token of a text masked."""

import numpy as np

from keras_plm.tokenizers.text_columns import text_list


def rows_with_masks(preprocessor, texts):
    """Lay out texts in which mask tokens are written.

    The parts around the masks are tokenized on their own, without the whitespace before a mask,
    as `transformers` does.

    Args:
        preprocessor: `TextPreprocessor`, whose tokenizer has a mask token.
        texts: list of N str, such as "the [MASK] sat".

    Returns:
        list of N tuples: token ids, segment ids, and the positions of the masks in the row; lists
        of int.

    Raises:
        TypeError: if `texts` are no list of strings.
        ValueError: if the tokenizer has no mask token, a text has none, or one is cut off.
    """
    tokenizer = preprocessor.tokenizer
    mask, mask_id = tokenizer.mask_token, tokenizer.mask_token_id
    texts = text_list(texts, "`texts`")
    ids = []
    for index, text in enumerate(texts):
        *before, last = text.split(mask)
        if not before:
            raise ValueError(
                f"Text {index} has no {mask}: write it where a token is to be filled in. "
                f"Received: {text!r:.80}."
            )
        row = []
        for part in before:
            row += [*(tokenizer.encode(part.rstrip()) if part.strip() else ()), mask_id]
        ids.append(row + list(tokenizer.encode(last) if last.strip() else ()))
    num_special = preprocessor.layout.num_special()
    preprocessor.check_lengths([len(row) + num_special for row in ids])
    rows = []
    for index, (text, own) in enumerate(zip(texts, ids)):
        row, segments = preprocessor.pair_row(own)
        positions = [place for place, one in enumerate(row) if one == mask_id]
        if len(positions) < own.count(mask_id):
            raise ValueError(
                f"Text {index} is cut before its last {mask}: it has {len(own) + num_special} "
                f"tokens. Shorten it, or give a larger `sequence_length`. Received: "
                f"sequence_length={preprocessor.sequence_length}."
            )
        rows.append((row, segments, positions))
    return rows


def each_token_masked(row, segments, layout, mask_id):
    """Yield a row once for each token of its text, with a mask in that token's place.

    Args:
        row: list of n int. The ids of a row of one text.
        segments: list of n int.
        layout: `keras_plm.data.RowLayout`, which says how many special tokens stand around.
        mask_id: int.

    Yields:
        tuples: token ids, segment ids, and the list of the one position that is masked.
    """
    for position in range(len(layout.start), len(row) - len(layout.end)):
        yield [*row[:position], mask_id, *row[position + 1 :]], segments, [position]


def log_softmax(logits):
    """The logarithms of the probabilities, computed in float64.

    Args:
        logits: float array of shape (..., V).

    Returns:
        float64 array of the same shape.
    """
    logits = np.asarray(logits, "float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
