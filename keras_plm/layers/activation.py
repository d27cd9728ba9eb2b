"""Activations by name, with both forms of GELU told apart."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_plm")
def gelu(x):
    """GELU by the error function, as the released BERT and PyTorch's own layers compute it.

    Keras's takes `erfc`, which is exact far below zero too but costs TensorFlow and XLA on a CPU
    several times an `erf`, and which few converters to ONNX know.

    Args:
        x: tensor of any shape.

    Returns:
        Tensor of the same shape.

    Source: arXiv:1606.08415, section 2.
    """
    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))


@keras.saving.register_keras_serializable(package="keras_plm")
def gelu_tanh(x):
    """The tanh approximation of GELU, as the released XLNet, BERT and GPT code computes it.

    Args:
        x: tensor of any shape.

    Returns:
        Tensor of the same shape.

    Source: arXiv:1606.08415, section 2.
    """
    return keras.activations.gelu(x, approximate=True)


def get_activation(name):
    """The activation function of a name.

    Args:
        name: str. "gelu" (exact, by erf), "gelu_tanh" (the approximation), or any name that
            Keras knows, such as "relu".

    Returns:
        A function of one tensor.

    Raises:
        ValueError: if it is no name, or one that Keras does not know either.
    """
    if not isinstance(name, str):  # Keras would build whatever a dict describes
        raise ValueError(f"An activation is given by its name. Received: activation={name!r}.")
    own = {"gelu": gelu, "gelu_tanh": gelu_tanh}
    if name in own:
        return own[name]
    try:
        return keras.activations.get(name)
    except ValueError as error:
        raise ValueError(
            "`activation` must be 'gelu', 'gelu_tanh', or a name that Keras knows, such as 'relu'. "
            f"Received: activation={name!r:.200}."
        ) from error
