"""F1 of entities that are tagged by B-, I- and O."""

import keras
import numpy as np
from keras import ops

from keras_plm.checks import check_arguments, flag, texts
from keras_plm.metrics.class_ids import predicted_class_ids


@keras.saving.register_keras_serializable(package="keras_plm")
class EntityF1(keras.metrics.Metric):
    """The share of entities that are found exactly: harmonic mean of precision and recall.

    An entity is right if its type, first and last word are. It begins with a B- tag, or with an
    I- tag after O or after another type, and goes on as long as I- tags of its type follow, as
    CoNLL's `conlleval` reads tags. Counts are summed over all types and batches (micro average).
    0 where nothing is right.

    Positions of weight 0 (all but the first piece of each word) are taken out before tags are
    read: `weighted_metrics`, not `metrics`, must have it.

    Args:
        class_names: list of C str. The tag of each class: "O", "B-type" or "I-type".
        from_logits: bool. Whether `y_pred` are scores of C classes; False: class numbers.

    Call arguments:
        y_true: int tensor of shape (B, T), class numbers in [0, C).
        y_pred: tensor of shape (B, T, C), or (B, T).
        sample_weight: tensor of shape (B, T) or None. Positions of weight 0 are left out, all
            others count alike.

    Raises:
        ValueError: if `class_names` are no such tags, or the shapes do not fit.

    Source: Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 shared task, section 2.4.
    """

    @check_arguments
    def __init__(
        self, class_names: texts(), from_logits: flag() = True, name="entity_f1", dtype=None
    ):
        super().__init__(name=name, dtype=dtype)
        if not is_bio(class_names):
            raise ValueError(
                "`class_names` must be tags that all differ, 'O', 'B-type' or 'I-type'. "
                f"Received: {class_names!r:.200}."
            )
        self.class_names = class_names
        self.from_logits = from_logits
        types = [name[2:] for name in class_names]
        numbers = {kind: number for number, kind in enumerate(sorted(set(types)))}
        self._types = np.array([numbers[kind] for kind in types], "int32")  # (C,)
        self._begins = np.array([name[0] == "B" for name in class_names])
        self._inside = np.array([name != "O" for name in class_names])
        # right, predicted, true
        self.counts = self.add_variable((3,), "zeros", dtype="float32", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        number = len(self.class_names)
        y_true, y_pred = predicted_class_ids(y_true, y_pred, number, self.from_logits)
        if len(y_true.shape) != 2:
            raise ValueError(f"`y_true` must be of shape (B, T). Received: {tuple(y_true.shape)}.")
        word = ops.ones_like(y_true, dtype="bool")
        if sample_weight is not None:
            word = ops.convert_to_tensor(sample_weight) != 0
            if len(word.shape) != 2:
                raise ValueError(
                    "`sample_weight` must be of shape (B, T), a weight per position. "
                    f"Received: {tuple(word.shape)}."
                )
            place = ops.expand_dims(ops.arange(ops.shape(word)[1]), 0)
            order = ops.argsort(ops.where(word, place, place + ops.shape(word)[1]), axis=1)
            y_true, y_pred, word = (
                ops.take_along_axis(one, order, axis=1) for one in (y_true, y_pred, word)
            )  # words first, in their order
        true, predicted = self._entities(y_true, word), self._entities(y_pred, word)
        same = [ops.equal(one, other) for one, other in zip(true, predicted)]
        right = same[0] & same[1] & (true[0] >= 0)  # (B, T)
        counts = [ops.sum(ops.cast(one, "float32")) for one in (right, predicted[0] >= 0)]
        counts.append(ops.sum(ops.cast(true[0] >= 0, "float32")))
        self.counts.assign(self.counts.value + ops.stack(counts))

    def _entities(self, tags, word):
        """Type (-1: none starts here) and last word of the entity that starts at each word."""
        types = ops.take(self._types, tags, axis=0)  # (B, T)
        inside = ops.take(self._inside, tags, axis=0) & word
        begins = ops.take(self._begins, tags, axis=0)
        goes_on = inside[:, 1:] & inside[:, :-1] & (types[:, 1:] == types[:, :-1])
        goes_on = goes_on & ops.logical_not(begins[:, 1:])  # (B, T - 1), from the second word
        no = ops.zeros_like(inside[:, :1])
        starts = inside & ops.logical_not(ops.concatenate([no, goes_on], axis=1))
        ends = inside & ops.logical_not(ops.concatenate([goes_on, no], axis=1))
        length = ops.shape(tags)[1]
        place = ops.expand_dims(ops.arange(length), 0)
        end_places = ops.sort(ops.where(ends, place, length), axis=1)  # of entity 0, 1, ...
        entity = ops.cumsum(ops.cast(starts, "int32"), axis=1) - 1  # (B, T)
        last = ops.take_along_axis(end_places, ops.maximum(entity, 0), axis=1)
        return ops.where(starts, types, -1), last

    def result(self):
        right, predicted, true = ops.unstack(self.counts.value)
        return ops.divide_no_nan(2.0 * right, predicted + true)

    def get_config(self):
        return {
            **super().get_config(),
            "class_names": list(self.class_names),
            "from_logits": self.from_logits,
        }


def is_bio(class_names):
    """Whether names of classes are tags "O", "B-type" and "I-type", all different.

    Args:
        class_names: list of str.

    Returns:
        bool.
    """
    return len(set(class_names)) == len(class_names) > 0 and all(
        isinstance(name, str) and (name == "O" or (name[:2] in ("B-", "I-") and len(name) > 2))
        for name in class_names
    )
