"""What the configurations of encoder-decoders have in common."""

from keras_plm.checkpoints.config_values import read_number
from keras_plm.checkpoints.families.transformer_config import read_classes, write_heads

CLASSIFIER = "classification_head.out_proj.weight"
START = "decoder_start_token_id"
BART_START = 2  # where its config does not say it; the others start with the padding

write_classifier = write_heads(
    "classifier_dropout", summary={head: ("last", "tanh") for head in ("label", "score")}
)


def read_head_settings(config, shapes):
    """What a checkpoint says about its head over the vocabulary, and about its classifiers.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    pad = read_number(config, "pad_token_id", 0, int)
    start = read_number(config, START, BART_START if config["model_type"] == "bart" else pad, int)
    classes = read_classes(config, shapes, (CLASSIFIER,), ("classifier_dropout",))
    return {"transform": False, "start_token_id": start, **classes}


def write_head_config(task, head, weights):
    """Say in a config what a head is; see `System`."""
    if head != "tokens":
        return write_classifier(task, head, weights)
    start = getattr(task, "start_token_id", None)
    return {} if start is None else {START: start}
