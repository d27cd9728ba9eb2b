"""The parts that the graphs of tasks share: what comes in, and what stands for a whole text."""

import keras
import numpy as np
from keras import ops

from keras_plm.checks import check_choice, check_flag, check_number, is_integer
from keras_plm.heads import (
    AttentionPoolingHead,
    AuxiliaryLMLoss,
    ConcatPoolingHead,
    SANHead,
    SummaryHead,
)
from keras_plm.layers import ChoicesToRows
from keras_plm.layers.float_policy import float_policy

POOLINGS = ("first", "last", "mean", "concat", "attention")
TASK_LSTM = 100  # SiATL: the width of the LSTM below its attention


def text_inputs(backbone):
    """The inputs of a backbone that texts have values for.

    Args:
        backbone: a backbone of this package.

    Returns:
        dict of str to Keras tensor: the backbone's own inputs without `task_ids`, which a
        backbone fills with 0, and without those of a source, see `encode_texts`.
    """
    inputs = backbone.input.items()
    return {
        name: tensor
        for name, tensor in inputs
        if name != "task_ids" and not name.startswith("source_")
    }


def encode_texts(backbone, features):
    """Run a backbone over texts; both sides of an encoder-decoder read each of them.

    The decoder reads the row moved by one, behind its last token: at each place it has read all
    tokens before, and the encoder all of them. Its row at the last token stands for the text.

    Args:
        backbone: a backbone of this package.
        features: dict of Keras tensors, those of `text_inputs` and others that it takes.

    Returns:
        dict, see `Backbone.encode`.

    Source: BART, arXiv:1910.13461, sections 3.1 and 3.2; `sentence_prediction` of fairseq with
    `--init-token 0 --add-prev-output-tokens`, which moves rows so.
    """
    if "source" not in backbone.reads:
        return backbone.encode(features)
    token_ids, real = features["token_ids"], features["padding_mask"]  # (B, T)
    last = ops.sum(ops.cast(real, "int32"), axis=1, keepdims=True) - 1  # (B, 1)
    end = ops.take_along_axis(token_ids, ops.maximum(last, 0), axis=1)
    moved = ops.concatenate([end, token_ids[:, :-1]], axis=1)
    source = {"source_token_ids": token_ids, "source_padding_mask": real}
    if "language_ids" in features:
        source["source_language_ids"] = features["language_ids"]
    return backbone.encode({**features, **source, "token_ids": moved})


def summary_head(
    backbone,
    num_classes,
    dropout,
    name,
    summarise=None,
    pooling=None,
    summary_activation=None,
    logits_bias=True,
    summary_dim=None,
    labels="class",
):
    """A new head over `text_summary`.

    Args:
        backbone: a backbone of this package. One with a pooler has made the summary already.
        num_classes: int. How many logits.
        dropout: float. Dropout rate before the logits.
        name: str. The head's name.
        summarise: bool or None. Whether a dense layer with tanh stands before the logits; None:
            unless the pooled output of a backbone with a pooler is read.
        pooling: see `text_summary`; or "san", of labels="class".
        summary_activation: str or None. Another activation than tanh; see `SummaryHead`.
        logits_bias: bool. Whether the logits have a bias.
        summary_dim: int or None. The width of that dense layer; None: that of the backbone. Of
            "attention" the width of its LSTM; None: 100.
        labels: str. What it is trained on; see `SummaryHead`.

    Returns:
        `SummaryHead`; of pooling="concat" `ConcatPoolingHead`, of "attention"
        `AttentionPoolingHead`, of "san" `SANHead`.

    Raises:
        ValueError: if an argument is none of these.
    """
    if summarise is not None and not isinstance(summarise, bool):
        raise ValueError(
            f"`summarise` must be True, False or None. Received: summarise={summarise!r:.200}."
        )
    check_flag("logits_bias", logits_bias)
    known = (*POOLINGS, "san") if labels == "class" else POOLINGS
    check_choice("pooling", pooling, known, none=True)
    policy = float_policy(backbone.dtype_policy)
    if pooling in ("concat", "attention", "san"):
        given = summarise, summary_activation, logits_bias
        given += () if pooling == "attention" else (summary_dim,)
        if given != (None, None, True, None)[: len(given)]:
            raise ValueError(
                f'`pooling="{pooling}"` brings a head of its own: leave out `summarise`, '
                f"`summary_activation`, `logits_bias`{' and `summary_dim`' * (len(given) > 3)}. "
                f"Received: {given!r:.200}."
            )
    if pooling == "san":
        return SANHead(
            num_classes,
            dropout=dropout,
            kernel_initializer=backbone.kernel_initializer(),
            dtype=policy,
            name=name,
        )
    if pooling == "attention":
        units = TASK_LSTM if summary_dim is None else summary_dim
        head = AttentionPoolingHead(
            num_classes,
            backbone.hidden_dim,
            units,
            dropout=dropout,
            labels=labels,
            dtype=policy,
            name=name,
        )
        head.build((None, units))  # the task calls its pooling first
        return head
    if pooling == "concat":
        return ConcatPoolingHead(
            num_classes,
            backbone.hidden_dim,
            dropout=dropout,
            intermediate_dropout=dropout / 4,  # fastai: 0.4 and 0.1
            labels=labels,
            dtype=policy,
            name=name,
        )
    pooled = "pooler" in backbone.reads and pooling is None
    summarise = not pooled if summarise is None else summarise
    whole = is_integer(summary_dim) and 1 <= summary_dim < 2**31
    if summary_dim is not None and not (summarise and whole):
        raise ValueError(
            "`summary_dim` must be None, or an integer of at least 1 where there is a dense layer "
            f"before the logits. Received: summary_dim={summary_dim!r:.100}, summarise={summarise}."
        )
    return SummaryHead(
        num_classes,
        summary_dim or backbone.hidden_dim,
        dropout=dropout,
        summarise=summarise,
        kernel_initializer=backbone.kernel_initializer(),
        activation=summary_activation,
        use_bias=logits_bias,
        labels=labels,
        dtype=policy,
        name=name,
    )


def with_auxiliary_loss(summary, weight, backbone, encoded, features):
    """Let the loss of a graph include that of a language model over its texts.

    Args:
        summary: Keras tensor of shape (B, D), which the outputs are made of.
        weight: float. The weight of the language model's loss; 0: there is none.
        backbone: a causal backbone.
        encoded: dict, what its `encode` returned.
        features: dict of `token_ids` and `padding_mask`, Keras tensors of shape (B, T).

    Returns:
        Keras tensor of shape (B, D), equal to `summary`.

    Raises:
        ValueError: if the weight is negative or no number, or the backbone is not causal, reads a
            source, or has an adaptive embedding.
    """
    check_number("auxiliary_lm", weight, 0)
    if not weight:
        return summary
    if "causal" not in backbone.reads:
        raise ValueError(
            "`auxiliary_lm` needs a backbone with causal=True: one that reads in both directions "
            f"has seen what it would predict. Received: {type(backbone).__name__}, "
            f"auxiliary_lm={weight}. Leave it 0."
        )
    if "source" in backbone.reads:
        raise ValueError(
            "`auxiliary_lm` needs a backbone that reads one text: the encoder of this one has seen "
            f"what its decoder would predict. Received: {type(backbone).__name__}, "
            f"auxiliary_lm={weight}. Leave it 0."
        )
    if not isinstance(backbone.token_embedding, keras.layers.Embedding):
        raise ValueError(
            "`auxiliary_lm` needs a backbone with one plain table of tokens, whose softmax is over "
            "the whole vocabulary. Received: the token_embedding "
            f"{type(backbone.token_embedding).__name__}, auxiliary_lm={weight}. Leave it 0."
        )
    layer = AuxiliaryLMLoss(backbone.token_embedding, float(weight), name="auxiliary_lm")
    rows = encoded["sequence_output"]
    return layer(summary, rows, features["token_ids"], features["padding_mask"])


def inputs_of_several(backbone, number=None):
    """The inputs of a backbone that texts have values for, with several rows per example.

    Args:
        backbone: a backbone of this package.
        number: int or None. How many rows C; None: any number.

    Returns:
        Pair of dicts of str to Keras tensor: the inputs (B, C, T), and the same as rows
        (B * C, T), which the backbone takes.
    """
    inputs = {
        name: keras.Input((number, None), dtype=tensor.dtype, name=name)  # (B, C, T)
        for name, tensor in text_inputs(backbone).items()
    }
    rows = {name: ChoicesToRows(name=f"{name}_rows")(tensor) for name, tensor in inputs.items()}
    return inputs, rows


def sum_of_several(summary, number):
    """Add the vectors that stand for the rows of an example.

    Args:
        summary: tensor of shape (B * C, D).
        number: int. C.

    Returns:
        Tensor of shape (B, D).
    """
    return ops.sum(ops.reshape(summary, (-1, number, summary.shape[-1])), axis=1)


def checked_rows(x, number=None):
    """The features of examples with several rows each as those of rows.

    Args:
        x: dict of arrays (B, C, T), or what is no dict: that is returned as it is.
        number: int or None. How many rows C there must be.

    Returns:
        dict of arrays (B * C, T).

    Raises:
        ValueError: if they are not of one shape (B, C, T).
    """
    if not isinstance(x, dict):
        return x
    arrays = {name: np.asarray(value) for name, value in x.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    wrong = len(set(shapes.values())) > 1 or any(len(shape) != 3 for shape in shapes.values())
    if wrong or (number is not None and any(shape[1] != number for shape in shapes.values())):
        what = "C choices each" if number is None else f"C = {number} rows each"
        raise ValueError(
            f"Features must all have the same shape (B, C, T), {what}. Received: {shapes}."
        )
    return {name: array.reshape(-1, array.shape[-1]) for name, array in arrays.items()}


def in_both_orders(preprocessor, x):
    """The features of pairs of texts, in both orders.

    Args:
        preprocessor: `TextPreprocessor`.
        x: tuple of two lists of N str, A and B.

    Returns:
        dict of arrays (N, 2, T): rows of A and B, and rows of B and A.

    Raises:
        TypeError, ValueError: as the preprocessor, or if `x` is no pair.
    """
    if not isinstance(x, tuple) or len(x) != 2:
        raise ValueError(
            "With `both_orders=True` texts come in pairs: a tuple of two lists. "
            f"Received: {type(x).__name__}."
        )
    orders = [preprocessor.call(pair) for pair in (x, x[::-1])]
    return {name: np.stack([one[name] for one in orders], axis=1) for name in orders[0]}
