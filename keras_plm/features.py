"""The contract between data and model: every feature, its dtype, its shape and its meaning.

Letters, used in every shape comment, docstring and einsum of the package: B batch, T query
positions, N positions of a source text, S key positions (S = M + T), M memory, P predictions per
example, R rows that read (T content rows or P query rows), C columns of a relative position table
or candidates of a slot or batch, W bytes of a word with its marks, D model width, H heads, K head
width, F feed-forward width, V vocabulary, L layers.

Beside these arrays `encode` takes, and hands on, a nest: `state`, what is carried from batch to
batch, as `Backbone.state_spec` of the backbone says. It never comes from data code.
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import did_you_mean


@dataclass(frozen=True)
class Feature:
    """One named array that data code hands to model code.

    Args:
        dtype: str. The dtype that the array has, as numpy names it.
        shape: str. Its axes, one letter each (see the letters of this module).
        meaning: str. What the array holds.
    """

    dtype: str
    shape: str
    meaning: str


FEATURES = {
    "token_ids": Feature("int32", "BT", "vocabulary ids, possibly corrupted"),
    "character_ids": Feature("int32", "BTW", "bytes and marks of each word, 1 to 261; padding 0"),
    "backward_character_ids": Feature("int32", "BTW", "the same, sentences reversed (ELMo)"),
    "padding_mask": Feature("bool", "BT", "True = a real token"),
    "segment_ids": Feature("int32", "BT", "0, 1, 2; if relative, only equality matters"),
    "position_ids": Feature("int32", "BT", "where positions are not 0 .. T-1"),
    "language_ids": Feature("int32", "BT", "the language of each token (XLM)"),
    "task_number": Feature("int32", "B", "which of several tasks a batch is of (MultiTask)"),
    "task_ids": Feature("int32", "BT", "the pretraining task (ERNIE 2.0)"),
    "entity_ids": Feature("int32", "BT", "the entity whose mention begins here; 0 = none"),
    "candidate_entity_ids": Feature(
        "int32", "BC", "entities of a batch; unused 0, as is the first"
    ),
    "order": Feature("int32", "BT", "the step of the factorisation at which a token is seen"),
    "until": Feature("int32", "BT", "the step from which on it is not; missing: for ever"),
    "target_positions": Feature("int32", "BP", "which tokens are predicted; unused slots are 0"),
    "target_token_ids": Feature("int32", "BP", "what the query row of each target carries"),
    "left_positions": Feature("int32", "BP", "the token before the span of each target; unused 0"),
    "right_positions": Feature("int32", "BP", "the token after the span of each target; unused 0"),
    "span_offsets": Feature("int32", "BP", "the place of each target in its span, from 0"),
    "candidate_ids": Feature("int32", "BPC", "words of which one, the last, stands at the target"),
    "source_token_ids": Feature("int32", "BN", "what an encoder reads, ids of the vocabulary"),
    "source_padding_mask": Feature("bool", "BN", "True = a real token of the source"),
    "source_language_ids": Feature("int32", "BN", "the language of each token of the source"),
    "source_visible": Feature("bool", "BN", "False = a decoder does not see it (MASS: masks)"),
    "answer_mask": Feature("bool", "BT", "True = an answer may start or end at this token"),
    "start_positions": Feature("int32", "B", "the token where the answer starts; -1 = not known"),
    "backward": Feature("bool", "B", "read right to left: relative distances change sign"),
    "fresh": Feature("bool", "B", "does not continue the previous batch's row: its state is zero"),
    "memory": Feature("float32", "BLMD", "inputs of each block for the M tokens before"),
}

WORD_LENGTH = 50  # W: what ELMo has of each word
NUM_CHARACTERS = 262  # the numbers of `character_ids`

# Features that heads read beside what the backbone gives; no backbone takes them.
FOR_HEADS = (
    "left_positions",
    "right_positions",
    "span_offsets",
    "candidate_ids",
    "candidate_entity_ids",
)

# Features that hold a number which must stay below a bound that only the model knows.
_BOUNDED = {
    "token_ids": "vocabulary_size",
    "target_token_ids": "vocabulary_size",
    "source_token_ids": "vocabulary_size",
    **dict.fromkeys(("target_positions", *FOR_HEADS[:3]), "sequence_length"),
    "candidate_ids": "vocabulary_size",
}
# What such a bound is of, where more is to be said.
_ROWS = "rows of the table of entity vectors; 1: none was given, see `entity_vectors=`"
_MEANINGS = {"entity_ids": _ROWS, "candidate_entity_ids": _ROWS}


def check_names(given, known, what):
    """Refuse features that `what` does not take.

    Args:
        given: iterable of str. The names that were given.
        known: iterable of str. The names that `what` takes.
        what: str. Who takes them, for the message.

    Raises:
        ValueError: if a name is not among `known`, or `token_ids` is missing.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"{what} takes the features {sorted(known)}. Received also: {unknown}. "
            "Remove them, or use a backbone that knows them."
        )
    if "token_ids" not in given:
        raise ValueError(f"{what} needs `token_ids`. Received only: {sorted(given)}.")


def check_batch(x, names=None, vocabulary_size=None, batch_size=None, bounds=None):
    """Check one batch of numpy arrays against the contract, before a backend sees it.

    Keras finds most of these mistakes late or not at all: an id outside the vocabulary is NaN on
    JAX, an error on TensorFlow's CPU and zeros on its GPU; and on JAX an exception inside
    `predict` destroys the weights.

    Args:
        x: dict of str to array. The features of one batch.
        names: iterable of str, or None. The features that must be there, no more and no less.
        vocabulary_size: int or None. Bound of `token_ids`.
        batch_size: int or None. The batch size B that the batch must have.
        bounds: dict of str to int, or None. Bounds of other ids, which must lie below them, and
            of "sequence_length", the T that the model can take if there are no `position_ids`, and
            of "source_length", N.

    Raises:
        ValueError: naming the feature, what was wrong, what was received and what to do.
    """
    if not isinstance(x, dict):
        raise ValueError(f"`x` must be a dict of features. Received: {type(x).__name__}.")
    if names is not None and set(x) != set(names):
        raise ValueError(
            f"This model takes exactly the features {sorted(names)}. Received: {sorted(x)}. "
            "Build the examples with the objective of the model (`model.objective`)."
        )
    lengths = {} if batch_size is None else {"B": batch_size}
    for name, value in x.items():
        if name not in FEATURES:
            raise ValueError(
                f"Unknown feature {name!r}. Known features: {sorted(FEATURES)}."
                f"{did_you_mean(name, FEATURES)}"
            )
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"Feature {name!r} must be a rectangular array: {error}") from error
        _check_feature(name, value, lengths)
    for name in ("padding_mask", "source_padding_mask"):
        empty = np.flatnonzero(~np.asarray(x[name]).any(axis=-1)) if name in x else ()
        if len(empty):
            raise ValueError(
                "Every row must have a real token, or there is nothing to read. Remove such rows. "
                f"Received: a `{name}` of False alone in the rows {empty[:5].tolist()}."
            )
    bounds = dict(bounds or {})
    known = {"vocabulary_size": vocabulary_size, "sequence_length": lengths.get("T")}
    for name, bound in _BOUNDED.items():
        if name in x and name not in bounds and known[bound] is not None:
            _check_range(name, np.asarray(x[name]), known[bound], bound)
    numbered = "position_ids" in x  # more tokens than positions: some share theirs
    sides = {"sequence_length": 0 if numbered else lengths.get("T", 0)}
    sides["source_length"] = lengths.get("N", 0)
    for name, length in sides.items():
        longest = bounds.pop(name, None)
        if longest is not None and length > longest:
            raise ValueError(
                f"The model has positions for {longest} tokens. Received: rows of {length}. "
                "Shorten them."
            )
    for name in ("character_ids", "backward_character_ids"):
        if name in x:
            _check_range(name, np.asarray(x[name]), NUM_CHARACTERS, "bytes, marks")
    for name in ("segment_ids", "order", "until", "entity_ids", "candidate_entity_ids"):
        if name in x:
            _check_range(name, np.asarray(x[name]), 2**30, "2**30")
    for name, bound in bounds.items():
        if name in x:
            _check_range(
                name, np.asarray(x[name]), bound, _MEANINGS.get(name, "what the model has")
            )


def _check_feature(name, value, lengths):
    """Check dtype kind, rank and the lengths that are shared between features."""
    feature = FEATURES[name]
    kind = np.dtype(feature.dtype).kind
    if value.dtype.kind != kind and not (kind == "i" and value.dtype.kind == "u"):
        raise ValueError(
            f"Feature {name!r} must be of dtype {feature.dtype}. Received: {value.dtype}."
        )
    if value.ndim != len(feature.shape):
        raise ValueError(
            f"Feature {name!r} must have the shape ({', '.join(feature.shape)}). "
            f"Received: shape {value.shape}."
        )
    for letter, length in zip(feature.shape, value.shape):
        if lengths.setdefault(letter, length) != length:
            raise ValueError(
                f"Feature {name!r} must have the shape ({', '.join(feature.shape)}) with "
                f"{letter} = {lengths[letter]}. Received: shape {value.shape}."
            )
    if 0 in value.shape:
        raise ValueError(f"Feature {name!r} is empty. Received: shape {value.shape}.")
    if kind == "f" and not np.isfinite(value).all():
        raise ValueError(f"Feature {name!r} holds values that are not finite.")


def _check_range(name, value, bound, meaning):
    low, high = int(value.min()), int(value.max())
    if low < 0 or high >= bound:
        raise ValueError(
            f"Feature {name!r} must lie in [0, {bound}) ({meaning}). "
            f"Received: values from {low} to {high}."
        )
