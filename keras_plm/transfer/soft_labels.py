"""Soft labels: what teachers make of texts, for a student to be trained on."""

import numpy as np

from keras_plm.checks import check_rectangular
from keras_plm.tasks.text_classifier import TextClassifier
from keras_plm.tasks.training.label_checks import check_soft_rows


def mean_probabilities(teachers, texts, batch_size=None):
    """The probabilities of classes by an ensemble: the mean over its members.

    Args:
        teachers: list of `TextClassifier`, with the same classes.
        texts: list of N str, or a pair of such lists: what each of them classifies.
        batch_size: int or None.

    Returns:
        float32 array (N, K).

    Raises:
        ValueError: if there is no teacher, one gives several classes to a text, or their classes
            differ.

    Source: Liu et al., arXiv:1904.09482, section 3.
    """
    good = isinstance(teachers, (list, tuple)) and len(teachers) > 0
    if not good or not all(isinstance(one, TextClassifier) for one in teachers):
        raise ValueError(
            "`teachers` must be a list of `TextClassifier`, one at least. "
            f"Received: {teachers!r:.200}."
        )
    classes = [(one.num_classes, one.class_names, one.multi_label) for one in teachers]
    if any(one != classes[0] or one[2] for one in classes):
        raise ValueError(
            "All teachers must have the same classes, one of which each text has. "
            f"Received: {classes!r:.200}."
        )
    found = [
        [list(one.probabilities.values()) for one in teacher.classify(texts, batch_size, verbose=0)]
        for teacher in teachers
    ]
    return np.mean(found, axis=0).astype("float32")


def with_soft_labels(labels, probabilities):
    """Put labels and the probabilities of teachers together, as `SoftLabelLoss` takes them.

    Args:
        labels: list of N int, numbers of classes.
        probabilities: array (N, K) of at least 0, whose rows sum to 1.

    Returns:
        float32 array (N, 1 + K).

    Raises:
        ValueError: if there is not a row for each label, a label is no class, or a row does not
            sum to 1.

    Example:
    ```python
    from keras_plm.transfer import with_soft_labels

    assert with_soft_labels([1, 0], [[0.25, 0.75], [0.5, 0.5]]).tolist() == [
        [1.0, 0.25, 0.75],
        [0.0, 0.5, 0.5],
    ]
    ```
    """
    labels = check_rectangular("`labels`", labels)
    rows = check_rectangular("`probabilities`", probabilities)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or rows.ndim != 2:
        raise ValueError(
            "`labels` must be numbers of classes (N,) and `probabilities` rows (N, K). Received: "
            f"{labels.dtype} of shape {labels.shape}, {rows.dtype} of shape {rows.shape}."
        )
    if len(rows) != len(labels) or not len(labels):
        raise ValueError(
            "There must be a row of probabilities for each label. "
            f"Received: {len(labels)} labels, {len(rows)} rows."
        )
    classes = rows.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"Labels must be among the {classes} classes that have probabilities. "
            f"Received: labels from {labels.min()} to {labels.max()}."
        )
    found = np.concatenate([labels[:, None], rows], axis=1).astype("float32")
    check_soft_rows(found[:, 1:])
    return found
