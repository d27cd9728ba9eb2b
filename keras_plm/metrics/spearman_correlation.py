"""Spearman correlation over all batches."""

import keras
from keras import ops

from keras_plm.metrics.pearson_correlation import paired_numbers


@keras.saving.register_keras_serializable(package="keras_plm")
class SpearmanCorrelation(keras.metrics.Metric):
    """The correlation of the ranks of true and predicted numbers, over all batches.

    Ranks need all numbers at once, so that the metric keeps them: **of more than `capacity`
    numbers only the latest `capacity` count.** Equal numbers share their average rank. 0 where
    one of the two does not vary. Keras asks for the result at every step: its sorting takes about
    half a millisecond per 1,000 of capacity on a CPU. Not for several replicas on TensorFlow, whose
    numbers it could not merge.

    Args:
        capacity: int. How many numbers are kept; give the size of the data or more.

    Call arguments:
        y_true: float tensor of N numbers, of shape (N,) or (N, 1).
        y_pred: float tensor of as many.
        sample_weight: tensor of N weights, or None; 0 = leave out, all others count alike.

    Raises:
        ValueError: if `capacity` is no integer of at least 2, or there is not one prediction per
            number.

    Source: Spearman, 1904; GLUE, arXiv:1804.07461, section 3.2 (use for STS-B).
    """

    def __init__(self, capacity=8192, name="spearman", dtype=None):
        super().__init__(name=name, dtype=dtype)
        if not isinstance(capacity, int) or not 2 <= capacity < 2**24:
            raise ValueError(
                f"`capacity` must be an integer in [2, 2**24). Received: {capacity!r}."
            )
        self.capacity = capacity
        self.numbers = self.add_variable((2, capacity), "zeros", dtype="float32", name="numbers")
        self.counts = self.add_variable((capacity,), "zeros", dtype="float32", name="counts")
        self.next_slot = self.add_variable((), "zeros", dtype="int32", name="next_slot")

    def update_state(self, y_true, y_pred, sample_weight=None):
        both, weight = paired_numbers(y_true, y_pred, sample_weight)  # (2, N), (N,)
        # Those left out go last, where nothing is written.
        order = ops.argsort(ops.cast(weight == 0, "int32") * 2**24 + ops.arange(_length(weight)))
        number = ops.sum(ops.cast(weight != 0, "int32"))
        slots = ops.arange(self.capacity)
        place = ops.mod(slots - self.next_slot.value, self.capacity)  # in what is written
        latest = ops.maximum(number - self.capacity, 0)
        row = ops.mod(place - latest, self.capacity) + latest  # of the batch, its latest rows
        written = row < number
        row = ops.take(order, ops.where(written, row, 0))
        self.numbers.assign(ops.where(written, ops.take(both, row, axis=1), self.numbers.value))
        self.counts.assign(ops.where(written, 1.0, self.counts.value))
        self.next_slot.assign(ops.mod(self.next_slot.value + number, self.capacity))

    def result(self):
        count = ops.convert_to_tensor(self.counts.value)
        true, predicted = (average_ranks(self.numbers.value[row], count) for row in (0, 1))
        middle = (ops.sum(count) + 1.0) / 2.0
        scale = ops.maximum(ops.sum(count), 1.0)  # keeps the squares small
        true, predicted = ((ranks - middle) / scale * count for ranks in (true, predicted))
        squares = ops.sum(true * true) * ops.sum(predicted * predicted)
        return ops.divide_no_nan(ops.sum(true * predicted), ops.sqrt(squares))

    def get_config(self):
        return {**super().get_config(), "capacity": self.capacity}


def average_ranks(numbers, count):
    """Ranks from 1 on, equal numbers sharing the average of theirs.

    Args:
        numbers: float tensor of shape (N,).
        count: tensor of shape (N,). 1 = ranked, 0 = left out.

    Returns:
        float32 tensor of shape (N,); where `count` is 0 it means nothing.
    """
    number = _length(numbers)
    sorted_order = ops.argsort(ops.where(count > 0, numbers, float("inf")))
    numbers, count = ops.take(numbers, sorted_order), ops.take(count, sorted_order)
    differs = ops.logical_or(numbers[1:] != numbers[:-1], count[1:] != count[:-1])
    group = ops.cumsum(ops.pad(ops.cast(differs, "int32"), ((1, 0),)))  # (N,), of equal numbers
    rank = ops.cast(ops.arange(1, number + 1), "float32")
    last = ops.segment_max(rank, group, number)
    first = -ops.segment_max(-rank, group, number)
    average = ops.take((first + last) / 2.0, group)
    return ops.take(average, ops.argsort(sorted_order))


def _length(vector):
    return ops.shape(vector)[0]
