"""What is taken of Keras's private modules: here and nowhere else.

A release of Keras may move them; what each is for says what to look for then.
"""

from keras.src.backend import compute_output_spec  # shapes of results, without running
from keras.src.backend.common.symbolic_scope import in_symbolic_scope  # layers are composed

__all__ = ["compute_output_spec", "in_symbolic_scope"]
