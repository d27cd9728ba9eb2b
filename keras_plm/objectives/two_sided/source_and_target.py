"""The two sides of an example for an encoder and a decoder, as `x`, `y` and weights.

A literal example: N = 5, P = 4, the start S, the end E and the padding 0.

    written on the source side     7  -  8  9  -        `-`: not kept
    written on the target side     -  5  6  -  -

    source_token_ids       7  8  9  0  0      source_padding_mask    1  1  1  0  0
    token_ids              S  5  6  0         padding_mask           1  1  1  0
    y["tokens"]            5  6  E  0         sample_weight          1  1  1  0
    target_positions       0  1  2  3
"""

import numpy as np

# What every such example has: of the source, of the decoder, and which of its rows predict.
FEATURES = (
    *("source_token_ids", "source_padding_mask"),
    *("token_ids", "padding_mask", "target_positions"),
)

LANGUAGES = ("source_language_ids", "language_ids")


def moved_left(written, length, name):
    """Moves what is kept of each row to its left end.

    Args:
        written: dict of (B, W) arrays: keep bool, what is there, and others.
        length: int, of the new rows.
        name: str. The setting that says the length, for the message.

    Returns:
        dict of (B, length) arrays, bool or int32, 0 behind what is kept.

    Raises:
        ValueError: a row is longer.
    """
    keep = written["keep"]
    place = np.cumsum(keep, axis=1) - 1
    longest = int(place[:, -1].max(initial=-1)) + 1
    if longest > length:
        _refuse_length(name, longest, length)
    rows, columns = np.nonzero(keep)
    slots = place[rows, columns]
    made = {}
    for key, values in written.items():
        dtype = "bool" if values.dtype == bool else "int32"
        made[key] = np.zeros((len(keep), length), dtype)
        made[key][rows, slots] = values[rows, columns]
    return made


def decoder_arrays(source, target, settings):
    """Makes the arrays of both sides.

    Args:
        source: dict of (B, N) arrays as `moved_left` returns them: keep, token_ids, and others.
        target: dict of (B, W) arrays: keep bool, token_ids int32; "inputs" int32, what the decoder
            reads at each, or not: then it reads the start and all but the last; and others.
        settings: an objective with target_length, start_token_id, end_token_id, pad_token_id.

    Returns:
        `(x, y, sample_weight)`, see `Objective`; of the others those of the source are named
        "source_...". A row of which nothing is asked for has weights of 0 alone.

    Raises:
        ValueError: there is nothing to read on a source side, or a target side is longer than
            target_length.
    """
    real = source.pop("keep")  # (B, N)
    empty = np.flatnonzero(~real.any(axis=1))
    if len(empty):
        raise ValueError(
            "A row must leave a token for the encoder to read: hide or delete fewer tokens, or use "
            "rows that begin or end with a special token. Received: no token in the rows "
            f"{empty[:5].tolist()}"
        )
    source["token_ids"] = np.where(real, source["token_ids"], settings.pad_token_id)
    x = {f"source_{name}": values for name, values in source.items()}
    x["source_padding_mask"] = real
    given = target["keep"].any(axis=1)[:, None]
    target = moved_left(target, settings.target_length, "target_length")
    asked, tokens = target.pop("keep"), target.pop("token_ids")  # (B, P)
    if settings.end_token_id is not None:
        _close(asked, tokens, settings)
    reads = target.pop("inputs", None)
    if reads is None:
        start = np.full((len(tokens), 1), settings.start_token_id, "int32")
        reads = np.concatenate([start, tokens[:, :-1]], axis=1)
    read = asked.copy()
    nothing = ~read[:, 0]  # a decoder reads its start even where nothing is asked
    read[nothing, 0], reads[nothing, 0] = True, settings.start_token_id
    weight = asked & given
    positions = np.arange(settings.target_length, dtype="int32")
    x |= {
        "token_ids": np.where(read, reads, settings.pad_token_id).astype("int32"),
        "padding_mask": read,
        "target_positions": np.tile(positions, (len(tokens), 1)),
        **target,
    }
    y = np.where(weight, tokens, 0).astype("int32")
    return x, {"tokens": y}, {"tokens": weight.astype("float32")}


def with_languages(x, batch, of_source, of_target, what):
    """Adds the language of each side, of which a row has one.

    Args:
        x: dict of the features of a batch.
        batch: dict of arrays of rows, with language_ids (B, T).
        of_source: bool array (B, T): the tokens of the source.
        of_target: bool array (B, T): those of the target.
        what: str. Who takes the batch, for the message.

    Returns:
        `x` with source_language_ids (B, N) and language_ids (B, P).

    Raises:
        ValueError: a side is of several languages.
    """
    found = dict(x)
    languages = np.asarray(batch["language_ids"])
    for side, tokens in (("source_", of_source), ("", of_target)):
        first = np.take_along_axis(languages, tokens.argmax(axis=1)[:, None], axis=1)  # (B, 1)
        mixed = np.flatnonzero((tokens & (languages != first)).any(axis=1))
        if len(mixed):
            raise ValueError(
                f"{what}(languages=True) takes rows of which each side is of one language. "
                f"Received: several in the rows {mixed[:5].tolist()}"
            )
        found[f"{side}language_ids"] = np.broadcast_to(first, x[f"{side}token_ids"].shape).copy()
    return found


def _close(asked, tokens, settings):
    """Puts the end behind each target, in place."""
    place = np.count_nonzero(asked, axis=1)
    if place.max(initial=0) >= settings.target_length:
        _refuse_length("target_length", place.max() + 1, settings.target_length)
    rows = np.arange(len(place))
    tokens[rows, place], asked[rows, place] = settings.end_token_id, True


def _refuse_length(name, longest, length):
    """A side is too long."""
    raise ValueError(
        f"{name} must have room for all that stands there. Raise it, or lower sequence_length or "
        f"the selection's rate. Received: rows of {longest}, {name}={length}"
    )
