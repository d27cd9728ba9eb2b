"""What the metrics over classes begin with: true and predicted class numbers of one shape."""

from keras import ops


def predicted_class_ids(y_true, y_pred, num_classes, from_logits):
    """Class numbers of labels and predictions, in the same shape.

    Args:
        y_true: int tensor of shape (...) or (..., 1).
        y_pred: tensor of shape (..., C) if `from_logits`, else as `y_true`.
        num_classes: int. How many classes C.
        from_logits: bool. Whether `y_pred` are scores of C classes, of which the largest counts.

    Returns:
        Two int32 tensors of the same shape (...).

    Raises:
        ValueError: if the shapes do not fit.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    true_shape, shape = tuple(y_true.shape), tuple(y_pred.shape)
    if from_logits:
        if not shape or shape[-1] not in (num_classes, None):
            raise ValueError(
                f"`y_pred` must have a last axis of {num_classes} scores; class numbers need "
                f"from_logits=False. Received: y_pred of shape {shape}."
            )
        y_pred = ops.argmax(y_pred, axis=-1)
    if len(y_true.shape) == len(y_pred.shape) + 1 and true_shape[-1] == 1:
        y_true = ops.squeeze(y_true, axis=-1)
    pairs = zip(y_true.shape, y_pred.shape)
    if len(y_true.shape) != len(y_pred.shape) or any(
        None not in pair and pair[0] != pair[1] for pair in pairs
    ):
        raise ValueError(
            "There must be one prediction per label. "
            f"Received: y_true of shape {true_shape}, y_pred of shape {shape}."
        )
    return ops.cast(y_true, "int32"), ops.cast(y_pred, "int32")
