"""What the heads share that give one row of logits for each text."""

import keras

from keras_plm.heads.head import Head, Targets, class_accuracy, class_loss, yes_no_accuracy
from keras_plm.metrics import PearsonCorrelation, SpearmanCorrelation

# What the logits are, and what their labels are.
LABELS = ("class", "classes", "choice", "number")


class LabelHead(Head):
    """Abstract base of the heads of texts: what they are trained on follows from their `labels`.

    Attributes:
        num_classes: int. How many logits.
        labels: str. One of `LABELS`: the "class" of a text; its "classes", any number of them,
            each a yes or no; the "choice" among C texts of an example, of which each has one
            logit; a "number".
    """

    @property
    def targets(self):
        """One class, choice or number for each example; or a yes or no for each class."""
        return Targets("B", {"choice": "C", "number": None}.get(self.labels, self.num_classes))

    @property
    def loss(self):
        """Cross-entropy of classes and choices, binary if there are several, or squared error."""
        if self.labels == "classes":
            return keras.losses.BinaryCrossentropy(from_logits=True)
        return keras.losses.MeanSquaredError() if self.labels == "number" else class_loss()

    def new_metrics(self):
        """Accuracy; of numbers the squared error, Pearson's and Spearman's correlation."""
        if self.labels == "number":
            mse = keras.metrics.MeanSquaredError(name="mse")
            return [mse, PearsonCorrelation(), SpearmanCorrelation()]
        return [yes_no_accuracy() if self.labels == "classes" else class_accuracy()]
