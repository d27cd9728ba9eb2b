"""XLNet's checkpoints: their configurations, in both directions."""

from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import (
    ACTIVATIONS,
    read_choice,
    read_number,
    read_sizes,
    write_choice,
)
from keras_plm.checkpoints.conversion import System
from keras_plm.checkpoints.head_config import (
    check_summary,
    other_head,
    read_class_names,
    read_problem_type,
    read_summary,
    write_class_config,
    write_summary,
)
from keras_plm.checkpoints.weight_names.xlnet_weights import HEADS, TIED, TIED_BIASES, rows, sizes

SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "n_layer",
    "num_heads": "n_head",
    "hidden_dim": "d_model",
    "intermediate_dim": "d_inner",
}
TENSORFLOW_ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu"}


def read_hugging_face(config, arrays):
    """Translate a Hugging Face `config.json`.

    Args:
        config: dict.
        arrays: function that opens the weights: where the config calls biases tied, they are
            compared.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing, or is none that XLNet has.
    """
    config = {"vocab_size": config.get("n_token"), **config}
    arguments = _read_sizes(config, SIZES)
    causal = read_choice(config, "attn_type", {"bi": False, "uni": True}, "bi")
    clamp_length = read_number(config, "clamp_len", -1, int)
    dropout = read_number(config, "dropout", 0.1, (int, float))
    arguments |= {
        "activation": read_choice(config, "ff_activation", ACTIVATIONS, "gelu"),
        "dropout": dropout,
        "attention_dropout": dropout,
        "layer_norm_epsilon": read_number(config, "layer_norm_eps", 1e-12, (int, float)),
        "initializer_range": read_number(config, "initializer_range", 0.02, (int, float)),
        "memory_length": read_number(config, "mem_len", 512, int),
        "reuse_length": read_number(config, "reuse_len", 0, int),
        "clamp_length": clamp_length if clamp_length > 0 else None,
        "causal": causal,
    }
    notes = []
    if config.get("bi_data"):
        notes.append("`bi_data` is dropped: give `backward` with the rows that are read backward")
    if config.get("same_length"):
        if causal:
            arguments["same_length"] = True
        else:
            notes.append("`same_length` is dropped: it changes nothing unless `attn_type` is 'uni'")
    if config.get("untie_r") is False:
        tied = _biases_are_tied(arrays(), arguments["num_layers"])
        if tied:
            arguments["tied_biases"] = True
        elif tied is False:
            notes.append("`untie_r` is false, but the biases of the layers differ: they stay apart")
    return arguments, notes


def read_tensorflow(config, arrays):
    """Translate the original `xlnet_config.json`.

    Args:
        config: dict.
        arrays: function that opens the weights; not used.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing, or is none that XLNet has.
    """
    arguments = _read_sizes(config, {**SIZES, "vocabulary_size": "n_token"})
    arguments["activation"] = read_choice(config, "ff_activation", TENSORFLOW_ACTIVATIONS, "gelu")
    if config.get("untie_r") is False:
        arguments["tied_biases"] = True
    return arguments, []


def write_hugging_face(arguments):
    """Translate a backbone's configuration into a Hugging Face `config.json`.

    Args:
        arguments: dict, the backbone's `get_config()`.

    Returns:
        dict, and a list of str: what it cannot say.

    Raises:
        ValueError: if transformers has no such activation.
    """
    activation = write_choice(arguments, "activation", ACTIVATIONS)
    rates = {"attention_dropout": arguments["attention_dropout"]}
    for name in ("activation_dropout", "position_dropout"):
        if arguments.get(name) is not None:
            rates[name] = arguments[name]
    others = {name: rate for name, rate in rates.items() if rate != arguments["dropout"]}
    notes = [f"transformers has one dropout rate; {others} are dropped"] if others else []
    config = {theirs: arguments[ours] for ours, theirs in SIZES.items()}
    config |= {
        "model_type": "xlnet",
        "d_head": arguments["hidden_dim"] // arguments["num_heads"],
        "ff_activation": activation,
        "untie_r": not arguments.get("tied_biases", False),
        "attn_type": "uni" if arguments["causal"] else "bi",
        "same_length": bool(arguments.get("same_length", False)),
        "bi_data": False,
        "clamp_len": arguments["clamp_length"] or -1,
        "mem_len": arguments["memory_length"] or None,
        "reuse_len": arguments["reuse_length"] or None,
        "dropout": arguments["dropout"],
        "layer_norm_eps": arguments["layer_norm_epsilon"],
        "initializer_range": arguments["initializer_range"],
        "dtype": "float32",
        **{f"{name}_token_id": index for name, index in (("bos", 1), ("eos", 2), ("pad", 5))},
    }
    return config, notes


def read_head_settings(config, shapes):
    """What a checkpoint says about the task that it was fine-tuned for.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    settings = {}
    for name, shape in shapes.items():
        if name in ("logits_proj.weight", "classifier.weight") and len(shape) == 2:
            settings["num_classes"] = shape[0]
        elif name.startswith("model/classification_") and name.endswith("/logit/kernel"):
            settings["num_classes"] = shape[-1]
    if settings.get("num_classes") == 1:  # a number or a choice
        del settings["num_classes"]
    if settings:
        settings |= read_class_names(config, settings["num_classes"]) | read_problem_type(config)
    if "logits_proj.weight" in shapes:
        settings |= read_summary(config, "last", "tanh")
        settings["summarise"] = bool(config.get("summary_use_proj", True))
        settings["dropout"] = read_number(config, "summary_last_dropout", 0.1, (int, float))
    if "answer_class.dense_0.weight" in shapes or "answer_class/dense_0/kernel" in shapes:
        settings["beam"] = True
        settings["start_top"] = read_number(config, "start_n_top", 5, int)
        settings["end_top"] = read_number(config, "end_n_top", 5, int)
    elif "qa_outputs.weight" in shapes:
        settings["beam"] = False
    return settings


ARCHITECTURES = {
    ("tokens",): "LMHeadModel",
    ("label",): "ForSequenceClassification",
    ("score",): "ForSequenceClassification",
    ("choice",): "ForMultipleChoice",
    ("token_label",): "ForTokenClassification",
    ("span",): "ForQuestionAnsweringSimple",
}


def _other_head(config, head):
    """See `System.other_head`."""
    other = other_head(ARCHITECTURES, config, head)
    if other is None and head in ("label", "score", "choice"):
        check_summary(config)
    return other


def write_head_config(task, head, weights):
    """What a Hugging Face config says about a head.

    Args:
        task: the task, for its `class_names` and other settings, as far as it has them.
        head: str. The head's name.
        weights: dict of the path below the head to array.

    Returns:
        dict.

    Raises:
        ValueError: if the head reads something that transformers' does not.
    """
    if head == "tokens":
        return {}
    if head == "span":
        if "answer_class/dense_0/kernel" not in weights:
            return {}
        tops = {"start_n_top": "start_top", "end_n_top": "end_top"}
        return {
            "architectures": ["XLNetForQuestionAnswering"],
            **{theirs: getattr(task, ours) for theirs, ours in tops.items() if hasattr(task, ours)},
        }
    if head == "token_label":
        return write_class_config(task, head, weights)
    return {
        **write_class_config(task, head, weights),
        **write_summary(task, head),
        "summary_use_proj": "summary/kernel" in weights,
        "summary_last_dropout": float(getattr(task, "dropout", 0.1)),
    }


def _read_sizes(config, names):
    """The sizes of an architecture; the width of a head must follow from them."""
    found = read_sizes(config, names)
    head_dim, heads = config.get("d_head"), found["num_heads"]
    if head_dim is not None and head_dim * heads != found["hidden_dim"]:
        raise ValueError(
            "`d_head` must be `d_model / n_head`. "
            f"Received: d_head={head_dim}, d_model={found['hidden_dim']}, n_head={heads}."
        )
    return found


def _biases_are_tied(arrays, num_layers):
    """Whether all layers have the same three biases; None if some are not there."""
    for row in TIED_BIASES:
        names = [row.hugging_face.format(layer=layer) for layer in range(num_layers)]
        if not set(names) <= set(arrays.shapes) or len({arrays.shapes[n] for n in names}) > 1:
            return None
        first = arrays.read(names[0])
        if not all((arrays.read(name) == first).all() for name in names[1:]):
            return False
    return True


XLNET = System(
    name="XLNet",
    class_name="XLNetBackbone",
    model_type="xlnet",
    prefix="transformer.",
    rows=rows,
    sizes=sizes,
    heads=HEADS,
    architectures=ARCHITECTURES,
    tied=TIED,
    tensorflow_config="xlnet_config.json",
    tensorflow_checkpoint="xlnet_model.ckpt",
    read_hugging_face=read_hugging_face,
    read_tensorflow=read_tensorflow,
    write_hugging_face=write_hugging_face,
    read_head_settings=read_head_settings,
    other_head=_other_head,
    write_head_config=write_head_config,
    tokenizer=tokenizer_format.XLNET,
)
