"""Token embeddings whose width follows the frequency of the tokens."""

import keras
from keras import ops

from keras_plm.checks import ascending, check_arguments, check_ascending, flag, integer
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class AdaptiveEmbedding(SequenceLayer):
    """A token embedding in clusters of the vocabulary: rare tokens have short vectors.

    Ids are by frequency, the most frequent first. The cluster i has a table of its own, of width
    embedding_dim / div_val^i, and a projection to the width of the model. With `div_val` 1 all
    tokens have one table, projected where its width is another. What comes out is scaled by the
    square root of `output_dim`.

    Args:
        vocabulary_size: int. The vocabulary size V.
        output_dim: int. The width D.
        embedding_dim: int or None. The width of the first table; None: D.
        cutoffs: tuple of int. The first ids of the clusters behind the first, ascending; (): there
            is one cluster alone. With `div_val` 1 they matter to the softmax alone.
        div_val: int. By how much each table is narrower than the one before, rounded down.
        project_same_width: bool. Whether a table of the width D is projected as well, where
            `div_val` is above 1 (WikiText-103), or not (One Billion Word).
        embeddings_initializer: initializer of the tables.
        projection_initializer: initializer of the projections.

    Call arguments:
        token_ids: int tensor of shape (B, T).

    Returns:
        Tensor of shape (B, T, D).

    Raises:
        ValueError: if a size is below 1, cutoffs do not ascend within the vocabulary, or the last
            table would have no width.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import AdaptiveEmbedding

    embedding = AdaptiveEmbedding(vocabulary_size=50, output_dim=8, cutoffs=(10, 30), div_val=2)
    assert tuple(embedding(np.array([[1, 20, 40]])).shape) == (1, 3, 8)
    assert [table.output_dim for table in embedding.tables] == [8, 4, 2]
    ```

    Source: Baevski and Auli, arXiv:1809.10853, section 3; Transformer-XL, arXiv:1901.02860, section
    4.1, and its released `model.py` (`mask_adaptive_embedding_lookup`).
    """

    @check_arguments
    def __init__(
        self,
        vocabulary_size: integer(1),
        output_dim: integer(1),
        embedding_dim: integer(1, none=True) = None,
        cutoffs: ascending() = (),
        div_val: integer(1) = 1,
        project_same_width: flag() = True,
        embeddings_initializer: initializer() = "uniform",
        projection_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.output_dim = output_dim
        self.embedding_dim = output_dim if embedding_dim is None else embedding_dim
        self.cutoffs = check_cutoffs(cutoffs, self.vocabulary_size)
        self.div_val = div_val
        self.project_same_width = project_same_width
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.projection_initializer = keras.initializers.get(projection_initializer)
        ends = (*(self.cutoffs if self.div_val > 1 else ()), self.vocabulary_size)
        widths = [self.embedding_dim // self.div_val**n for n in range(len(ends))]
        if widths[-1] < 1:
            raise ValueError(
                f"The table of cluster {len(widths) - 1} would have no width: embedding_dim / "
                f"div_val^i gives {widths}. Give fewer cutoffs, a smaller `div_val` or a larger "
                f"`embedding_dim`. Received: embedding_dim={self.embedding_dim}, "
                f"div_val={self.div_val}, cutoffs={self.cutoffs}."
            )
        self.starts = (0, *ends[:-1])
        self.tables = [
            keras.layers.ReversibleEmbedding(
                end - start,
                width,
                embeddings_initializer=self.embeddings_initializer.clone(),
                dtype=self.dtype_policy,
                name=f"table_{number}",
            )
            for number, (start, end, width) in enumerate(zip(self.starts, ends, widths))
        ]
        self.projections = [
            keras.layers.Dense(
                self.output_dim,
                use_bias=False,
                kernel_initializer=self.projection_initializer.clone(),
                dtype=self.dtype_policy,
                name=f"projection_{number}",
            )
            if width != self.output_dim or self.div_val > 1 and self.project_same_width
            else None
            for number, width in enumerate(widths)
        ]

    def build(self, token_ids_shape=None):
        for table, projection in zip(self.tables, self.projections):
            table.build(token_ids_shape)
            if projection is not None:
                projection.build((None, table.output_dim))

    def call(self, token_ids, mask=None):
        states = 0.0
        for start, table, projection in zip(self.starts, self.tables, self.projections):
            rows = token_ids - start if start else token_ids
            if len(self.tables) > 1:
                inside = (rows >= 0) & (rows < table.input_dim)  # (B, T)
                rows = table(ops.where(inside, rows, 0))
                rows = ops.where(inside[..., None], rows, 0.0)  # (B, T, K_i)
            else:
                rows = table(ops.copy(rows) if mask is not None else rows)  # a copy has no mask
            states = states + (rows if projection is None else projection(rows))
        return states * self.output_dim**0.5

    def compute_output_spec(self, token_ids, mask=None):
        return keras.KerasTensor((*token_ids.shape, self.output_dim), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "output_dim": self.output_dim,
            "embedding_dim": self.embedding_dim,
            "cutoffs": list(self.cutoffs),
            "div_val": self.div_val,
            "project_same_width": self.project_same_width,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "projection_initializer": keras.initializers.serialize(self.projection_initializer),
        }


def check_cutoffs(cutoffs, vocabulary_size):
    """Return the first ids of clusters as a tuple of int, or refuse them.

    Args:
        cutoffs: list or tuple of int.
        vocabulary_size: int. V.

    Raises:
        ValueError: if they are no integers, do not ascend, or leave [1, V).
    """
    why = ", the first ids of clusters behind the first, each of which has tokens"
    return check_ascending("cutoffs", cutoffs, most=vocabulary_size - 1, why=why)


def table_of(embedding):
    """Return the table of an embedding as floats, with LoRA; a quantized one is made so again.

    Args:
        embedding: `keras.layers.Embedding`, built.

    Returns:
        Tensor of shape (V, K).
    """
    if embedding.quantization_mode is not None:
        return embedding(ops.arange(embedding.input_dim, dtype="int32"))
    return ops.convert_to_tensor(embedding.embeddings)


def kernel_of(dense):
    """Return the kernel of a dense layer without a bias as floats; see `table_of`.

    Args:
        dense: `keras.layers.Dense`, built, or None.

    Returns:
        Tensor of shape (inputs, outputs), or None.
    """
    if dense is None:
        return None
    if dense.quantization_mode is not None:
        return dense(ops.eye(dense.input_spec.axes[-1], dtype=dense.compute_dtype))
    return ops.convert_to_tensor(dense.kernel)
