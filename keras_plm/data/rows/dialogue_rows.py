"""ERNIE's rows of dialogues: three turns, of which one may be a turn of another dialogue.

row 0            [CLS]  Shall we?  [SEP]  We shall.  [SEP]  When?  [SEP]     real, label 0
row 1            [CLS]  Shall we?  [SEP]  A badger.  [SEP]  When?  [SEP]     not real, label 1
segment_ids      0      0  0  0    0      1  1  1    1      0  0   0
"""

import numpy as np

from keras_plm.data.rows.planned_rows import RowTable, row_plan, truncated_lengths
from keras_plm.data.rows.sentence_pair_rows import check_documents

NUM_TURNS = 3


@row_plan(num_texts=NUM_TURNS)
def dialogue(stream, room, rng, negative="reply", short_rate=0.0):
    """Plan rows of three consecutive turns, asked, answered, asked again; half are not real.

    The documents of the corpus are dialogues, their sentences are turns, which two speakers take
    alternately; `segment_ids` say which of the two speaks. In each pass a dialogue is cut into
    threes, none of which share a turn, from one of its first three turns on, drawn; what does not
    fill three is not used. By a coin one of the three, drawn, becomes a turn drawn from all other
    dialogues. The longest turn loses tokens from its end until the three fit. The label
    `sentence_pair` is 1 where a turn was replaced.

    Args:
        stream, room, rng: see `row_plan`; the corpus is one as of `quoted_turns`.
        negative: "reply".
        short_rate: not used: rows are as long as their turns.

    Raises:
        ValueError: the corpus has no dialogue of three turns, or only one dialogue; or `negative`
            is something else.

    Source: ERNIE (Sun et al., 2019), section 3.3, whose rows are also of a question with two
    answers and of two questions with one.
    """
    if negative != "reply":
        raise ValueError(
            'Rows of dialogues have false replies: negative must be "reply". Received: '
            f"negative={negative!r}"
        )
    check_documents(stream, "A turn that is not real")
    bounds, turns = stream.sentence_bounds, stream.document_sentences  # (S + 1,), (D, 2)
    numbers = turns[:, 1] - turns[:, 0]
    if numbers.max() < NUM_TURNS:
        raise ValueError(
            f"Rows of dialogues need a document with {NUM_TURNS} turns at least: build the corpus "
            "with Corpus.build(..., split_sentences=...) and a function that finds turns, such as "
            f"keras_plm.data.quoted_turns. Received: documents of {numbers.max()} turns at most"
        )
    choices = np.clip(numbers - NUM_TURNS + 1, 1, NUM_TURNS)
    skipped = (rng.random(len(turns)) * choices).astype("int64")
    rows = (numbers - skipped) // NUM_TURNS  # of each document
    document = np.repeat(np.arange(len(turns)), rows)  # (R,)
    within = np.arange(len(document)) - np.repeat(np.cumsum(rows) - rows, rows)
    turn = (turns[:, 0] + skipped)[document] + within * NUM_TURNS
    turn = turn[:, None] + np.arange(NUM_TURNS)  # (R, 3)

    uniform = rng.random((len(turn), 3))
    is_false = uniform[:, 0] < 0.5
    # A turn of another document: the turns of its own are left out of the count.
    first = np.cumsum(numbers) - numbers  # the number of each document's first turn
    other = (uniform[:, 1] * (numbers.sum() - numbers[document])).astype("int64")
    other += np.where(other >= first[document], numbers[document], 0)
    of_document = np.searchsorted(np.cumsum(numbers), other, side="right")
    other += turns[of_document, 0] - first[of_document]
    replaced = (uniform[:, 2] * NUM_TURNS).astype("int64")
    turn[is_false, replaced[is_false]] = other[is_false]

    texts = np.stack([bounds[turn], bounds[turn + 1]], axis=-1)  # (R, 3, 2)
    lengths = truncated_lengths(texts[:, :, 1] - texts[:, :, 0], room)
    texts[:, :, 1] = texts[:, :, 0] + lengths
    return RowTable(texts, {"sentence_pair": is_false.astype("int32")})
