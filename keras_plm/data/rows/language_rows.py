"""XLM's rows of running text, each of one language.

Documents `a a a` and `b b` of language 5, `x x x x` of language 9; `</s>` also separates them,
and a row has room for 4 tokens of text:

    row 0           </s>  a  a     a  </s>  </s>
    row 1           </s>  b  b  </s>  PAD   PAD
    row 2           </s>  x  x     x  x     </s>
    language_ids    5 in all of rows 0 and 1, 9 in row 2
    position_ids    0     1  2     3  4     5        0 where there is padding
"""

import numpy as np

from keras_plm.data.rows.planned_rows import RowTable, row_plan
from keras_plm.data.rows.stream import DocumentStream
from keras_plm.objectives.languages import check_language_exponent


def _by_language(corpus, documents):
    """The documents of one language each, language after language."""
    languages = DocumentStream(corpus, documents, 0).document_languages
    if languages is None:
        return documents
    single = languages[:, 0] == languages[:, 1]
    if not single.any():
        raise ValueError(
            "Running text needs documents of one language, and all of this corpus are pairs of "
            "two: build it with files of text too, as Corpus.build([english, french, (english, "
            'french)], ..., languages=["en", "fr", ("en", "fr")]) does. Received: '
            f"{len(documents)} pairs"
        )
    return documents[single][np.argsort(languages[single, 0], kind="stable")]


@row_plan(apart=True, select=_by_language)
def language_stream(stream, room, rng, language_exponent=0.7):
    """Plan rows full of running text of one language, whatever documents it belongs to.

    The documents of a language follow each other with one functional separator between them, and
    are cut into rows; the last row of a language is padded. Documents that are pairs of two
    languages are left out. A training pass has as many rows as there are, but takes language i
    with the probability q_i ~ p_i ** language_exponent, where p_i is its share of the rows: some
    rows come several times in it, others not at all. Evaluation has each row once.

    In XLM itself all rows of a batch have one language, and a separator also stands between the
    sentences of a document: for that, make each sentence a document.

    Args:
        stream, room, rng: see `row_plan`; without languages all of a corpus counts as one.
        language_exponent: float between 0 and 1.

    Raises:
        ValueError: all documents are pairs, or a setting is out of range.

    Source: XLM (Conneau and Lample, 2019), sections 3.1 and 3.5, which has the exponent 0.7.
    """
    check_language_exponent(language_exponent)
    begins, ends = stream.sentence_begin(stream.document_sentences).T  # (D,), of the texts
    languages = stream.document_languages
    language = np.zeros(len(begins), "int64") if languages is None else languages[:, 0]
    first = np.flatnonzero(np.diff(language, prepend=language[0] - 1))  # of each language
    begins, ends = begins[first], ends[np.append(first[1:], len(ends)) - 1]
    number = -(-(ends - begins) // room)  # of rows
    within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    begin = np.repeat(begins, number) + within * room
    texts = np.stack([begin, np.minimum(begin + room, np.repeat(ends, number))], axis=1)
    language = np.repeat(language[first], number)
    if stream.training:
        rows = sample_rows(language, language_exponent, rng)
        texts, language = texts[rows], language[rows]
    return RowTable(texts[:, None], languages=None if languages is None else language[:, None])


def language_shares(counts, exponent):
    """The shares q of languages in a pass, q_i ~ p_i ** exponent.

    Args:
        counts: (G,) numbers above 0, how many rows there are of each.
        exponent: float. 1: as they occur; 0: all alike.

    Returns:
        (G,) float, with the sum 1.

    Source: XLM (Conneau and Lample, 2019), section 3.1.
    """
    powers = (np.asarray(counts, float) / np.sum(counts)) ** exponent
    return powers / powers.sum()


def sample_rows(languages, exponent, rng):
    """Draws the rows of a pass, as many as there are.

    The number of rows of each language is its share of them, rounded up or down by a draw so that
    it is right on average. A language that gets more rows than it has repeats all of them, the
    rest is drawn from them; one that gets fewer leaves some out.

    Args:
        languages: (R,) int, the language of each row, or (R, 2) int, those of its two texts,
            which together count as one.
        exponent: see `language_shares`.
        rng: `numpy.random.Generator`.

    Returns:
        (R,) int, indices of the rows.
    """
    _, group, counts = np.unique(languages, axis=0, return_inverse=True, return_counts=True)
    group, total = group.ravel(), len(languages)
    bounds = np.cumsum(language_shares(counts, exponent)) * total
    bounds = np.floor(np.append(bounds[:-1], total) + rng.random()).astype("int64")
    chosen = []
    for number, wanted in enumerate(np.diff(bounds, prepend=0)):
        rows = np.flatnonzero(group == number)
        repeats, rest = divmod(int(wanted), len(rows))
        chosen += [np.tile(rows, repeats), rng.choice(rows, rest, replace=False)]
    return np.concatenate(chosen)
