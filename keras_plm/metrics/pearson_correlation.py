"""Pearson correlation over all batches."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_plm")
class PearsonCorrelation(keras.metrics.Metric):
    """The linear correlation of true and predicted numbers, over all batches.

    Keras's metric of this name averages the correlations of single batches, which is another
    number. 0 where one of the two does not vary. Means and squares are merged batch by batch, so
    that large means lose no digits. Put it in `weighted_metrics` where numbers have weights.

    Call arguments:
        y_true: float tensor of N numbers, of shape (N,) or (N, 1).
        y_pred: float tensor of as many.
        sample_weight: tensor of N weights, or None; 0 = leave out.

    Raises:
        ValueError: if there is not one prediction per number.

    Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
    sample variances, 1979 (merging); GLUE, arXiv:1804.07461, section 3.2 (use for STS-B).
    """

    def __init__(self, name="pearson", dtype=None):
        super().__init__(name=name, dtype=dtype)
        # weight; means of true and predicted; squares and products of deviations from them
        self.total = self.add_variable((), "zeros", dtype="float32", name="total")
        self.means = self.add_variable((2,), "zeros", dtype="float32", name="means")
        self.products = self.add_variable((3,), "zeros", dtype="float32", name="products")

    def update_state(self, y_true, y_pred, sample_weight=None):
        both, weight = paired_numbers(y_true, y_pred, sample_weight)  # (2, N), (N,)
        total = ops.sum(weight)
        means = ops.divide_no_nan(ops.sum(both * weight, axis=1), total)  # (2,)
        x, y = both[0] - means[0], both[1] - means[1]
        products = ops.stack([ops.sum(weight * a * b) for a, b in ((x, x), (y, y), (x, y))])
        old = ops.convert_to_tensor(self.total.value)
        new = old + total
        shift = means - self.means.value  # (2,)
        shifts = ops.stack([shift[0] * shift[0], shift[1] * shift[1], shift[0] * shift[1]])
        share = ops.divide_no_nan(total, new)
        self.products.assign(self.products.value + products + shifts * old * share)
        self.means.assign(self.means.value + shift * share)
        self.total.assign(new)

    def result(self):
        products = self.products.value
        squares = products[0] * products[1]
        return ops.divide_no_nan(products[2], ops.sqrt(squares))


def paired_numbers(y_true, y_pred, sample_weight=None):
    """True and predicted numbers as the rows of one array, and their weights.

    Args:
        y_true: tensor of shape (N,) or (N, 1).
        y_pred: tensor of shape (N,) or (N, 1).
        sample_weight: tensor of N weights, or None.

    Returns:
        Two float32 tensors of shapes (2, N) and (N,).

    Raises:
        ValueError: if there is not one prediction per number; nothing is ever broadcast.
    """
    both = [ops.convert_to_tensor(value) for value in (y_true, y_pred)]
    for value in both:
        if len(value.shape) not in (1, 2) or tuple(value.shape[1:]) not in ((), (1,)):
            raise ValueError(
                "There must be one prediction per number, of shape (N,) or (N, 1). Received: "
                f"y_true of shape {tuple(both[0].shape)}, y_pred of {tuple(both[1].shape)}."
            )
    if len({value.shape[0] for value in both} - {None}) > 1:
        raise ValueError(
            f"Received: {both[0].shape[0]} numbers and {both[1].shape[0]} predictions; there "
            "must be as many of each."
        )
    both = ops.stack([ops.reshape(ops.cast(value, "float32"), (-1,)) for value in both])
    if sample_weight is None:
        return both, ops.ones_like(both[0])
    weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    return both, ops.reshape(weight, (-1,))
