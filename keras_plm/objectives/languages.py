"""What objectives over several languages share: how often each is read, and which tokens have."""

from keras_plm.checks import check_arrays, check_number


def check_language_exponent(exponent):
    """Refuses an exponent that is no number between 0 and 1.

    Args:
        exponent: what was given.

    Raises:
        ValueError: naming it.
    """
    why = ": 0 reads all languages alike, 1 as often as they occur"
    check_number("language_exponent", exponent, 0, 1, why=why)


def language_row_settings(objective):
    """The settings of the row builder of an objective that may set the exponent.

    Args:
        objective: `Objective` with `sequence_length` and `language_exponent`, which may be None:
            then the row builder has its own, or none at all.

    Returns:
        dict of keyword arguments.
    """
    settings = {"sequence_length": objective.sequence_length}
    if objective.language_exponent is not None:
        settings["language_exponent"] = objective.language_exponent
    return settings


def check_languages(what, batch, sequence_length):
    """Refuses a batch whose tokens have no languages.

    Args:
        what: str. Who takes the batch, for the message.
        batch: dict of arrays.
        sequence_length: T.

    Raises:
        ValueError: language_ids (B, T) is missing or has another shape.
    """
    if "language_ids" not in batch:
        raise ValueError(
            f"{what}(languages=True) needs rows that say their languages: build the corpus with "
            'Corpus.build(..., languages=...) and take the rows of "language_stream" or '
            f'"translation_pair". Received: rows of {sorted(batch)}'
        )
    row = (sequence_length,)
    check_arrays(what, batch, {"token_ids": row, "language_ids": row})
