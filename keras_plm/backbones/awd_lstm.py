"""AWD-LSTM: a causal language model of LSTMs, ULMFiT's and many others'."""

import keras
from keras import ops

from keras_plm import features as contract
from keras_plm.backbones.backbone import Backbone, check_sizes, grouped_weights
from keras_plm.backbones.decoding.recurrent_decoding import RecurrentDecoder
from keras_plm.checks import check_arguments, constructor_arguments, flag, number
from keras_plm.layers import ActivationRegularization, EmbeddingDropout, WeightDropLSTM
from keras_plm.layers.float_policy import float_policy
from keras_plm.ops import gather_rows

_FEATURES = ("token_ids", "padding_mask", "target_positions", "state")


@keras.saving.register_keras_serializable(package="keras_plm")
class AWDLSTMBackbone(Backbone):
    """AWD-LSTM: a stack of LSTMs with five dropouts, whose state goes on from batch to batch.

    The first and the last layer have the width of the embeddings on their outer sides, so that a
    head over the vocabulary can take the embedding's table, without the words that are dropped.

    The three dropouts of activations are locked: an example has one mask for all of its tokens. In
    training the regularisation is a loss of the model, beside that of its heads; with both weights
    0 there is none.

    Args:
        vocabulary_size: int. The vocabulary size V.
        num_layers: int. The LSTMs L.
        hidden_dim: int. The width D of embeddings, of the output and of the last LSTM.
        lstm_dim: int. The width of all LSTMs but the last; with `output_projection` of all.
        embedding_dropout: float. The share of words of the vocabulary that are dropped.
        input_dropout: float. Dropout rate of the embedded tokens.
        weight_dropout: float. The share of each recurrent matrix that is dropped.
        hidden_dropout: float. Dropout rate between the LSTMs.
        output_dropout: float. Dropout rate of the output (0 in ULMFiT's classifiers, whose head
            has its own).
        activation_regularization: float. Weight of the mean square of the output behind its
            dropout (AR).
        temporal_regularization: float. Weight of the mean square of the changes of the output
            before its dropout, from token to token (TAR).
        output_projection: bool. Whether the last LSTM is as wide as the others and a dense layer
            leads from it to the width D of the output, behind dropout and regularisation (SiATL).
        dtype: str or `keras.DTypePolicy`.

    Raises:
        ValueError: if a size is no integer or below 1, or a rate is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.backbones import AWDLSTMBackbone

    backbone = AWDLSTMBackbone(vocabulary_size=100, num_layers=2, hidden_dim=8, lstm_dim=16)
    first = backbone.encode({"token_ids": np.array([[7, 8, 9]])})
    then = backbone.encode({"token_ids": np.array([[10, 11]]), "state": first["state"]})
    assert tuple(then["sequence_output"].shape) == (1, 2, 8)
    assert tuple(then["state"]["cell"][0].shape) == (1, 16)
    ```

    Source: AWD-LSTM, arXiv:1708.02182; ULMFiT, arXiv:1801.06146, section 3.1; its settings in
    fastai (`awd_lstm_lm_config`). The projection: SiATL, arXiv:1902.10547, and its released code
    (`down`).
    """

    causal = True

    @check_arguments
    def __init__(
        self,
        vocabulary_size,
        num_layers,
        hidden_dim,
        lstm_dim,
        embedding_dropout: number(0, 1) = 0.02,
        input_dropout: number(0, 1) = 0.25,
        weight_dropout: number(0, 1) = 0.2,
        hidden_dropout: number(0, 1) = 0.15,
        output_dropout: number(0, 1) = 0.1,
        activation_regularization: number(0) = 2.0,
        temporal_regularization: number(0) = 1.0,
        output_projection: flag() = False,
        dtype=None,
        **kwargs,
    ):
        sizes = {
            "vocabulary_size": vocabulary_size,
            "num_layers": num_layers,
            "hidden_dim": hidden_dim,
            "lstm_dim": lstm_dim,
        }
        check_sizes(**sizes)
        for name, value in sizes.items():
            setattr(self, name, value)
        self.output_projection = output_projection

        # === Layers ===
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=_uniform(0.1),
            dtype=dtype,
            name="token_embedding",
        )
        self.word_dropout = EmbeddingDropout(
            vocabulary_size, embedding_dropout, dtype=dtype, name="word_dropout"
        )
        self.embedded_dropout = _locked_dropout(input_dropout, dtype, "embedded_dropout")
        self.blocks = [
            WeightDropLSTM(
                width,
                weight_dropout,
                kernel_initializer=_uniform(width**-0.5),
                recurrent_initializer=_uniform(width**-0.5),
                bias_initializer=_uniform(width**-0.5),
                dtype=dtype,
                name=f"lstm_{index}",
            )
            for index, width in enumerate(self.widths)
        ]
        self.block_dropouts = [
            _locked_dropout(hidden_dropout, dtype, f"hidden_dropout_{index}")
            for index in range(num_layers - 1)
        ]
        self.last_dropout = _locked_dropout(output_dropout, dtype, "last_dropout")
        self.regularization = ActivationRegularization(
            activation_regularization, temporal_regularization, dtype=dtype, name="regularization"
        )
        self.projection = None
        if output_projection:
            self.projection = keras.layers.Dense(
                hidden_dim,
                kernel_initializer=_uniform(lstm_dim**-0.5),
                dtype=dtype,
                name="projection",
            )

        # === Functional model ===
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }
        outputs = self.encode(inputs)["sequence_output"]
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)

        # === Config ===
        self.embedding_dropout = embedding_dropout
        self.input_dropout = input_dropout
        self.weight_dropout = weight_dropout
        self.hidden_dropout = hidden_dropout
        self.output_dropout = output_dropout
        self.activation_regularization = activation_regularization
        self.temporal_regularization = temporal_regularization

    @property
    def widths(self):
        """The width of each LSTM, a list of L int."""
        last = self.lstm_dim if self.output_projection else self.hidden_dim
        return [self.lstm_dim] * (self.num_layers - 1) + [last]

    def encode(self, features):
        """Run the forward pass over a text, or over what follows one.

        Args:
            features: dict of str to tensor: `token_ids`, and any of `padding_mask`, on whatever
                side, `target_positions` and `state`, as `state_spec` says.

        Returns:
            dict, see `Backbone.encode`; the `hidden_states` have the widths of the LSTMs.

        Raises:
            ValueError: for a feature that an LSTM does not take, such as `order`, or for a state
                of another form or batch size.
        """
        contract.check_names(features, _FEATURES, type(self).__name__)
        token_ids, padding_mask = features["token_ids"], features.get("padding_mask")
        content = self.word_dropout(self.token_embedding(token_ids), token_ids)  # (B, T, D)
        content = self.embedded_dropout(content)
        hidden_states, new = [content], {"hidden": [], "cell": []}
        dropouts = [*self.block_dropouts, self.last_dropout]
        for block, dropout, before in zip(self.blocks, dropouts, self.states(features)):
            raw, hidden, cell = block(content, state=before, padding_mask=padding_mask)
            content = dropout(raw)
            hidden_states.append(raw)
            new["hidden"].append(hidden)
            new["cell"].append(cell)
        content = self.regularization(content, raw, padding_mask)
        if self.projection is not None:
            content = self._projected(content, padding_mask)
        encoded = {"sequence_output": content, "hidden_states": hidden_states, "state": new}
        if "target_positions" in features:
            encoded["target_output"] = gather_rows(content, features["target_positions"])
        return encoded

    def _projected(self, content, padding_mask):
        """The outputs (B, T, D) of the last LSTM's; padding stays 0."""
        content = self.projection(content)
        if padding_mask is None:
            return content
        return content * ops.cast(padding_mask, content.dtype)[..., None]

    def states(self, features):
        """Give every LSTM its hidden state and cell.

        Args:
            features: dict of features.

        Returns:
            list of L pairs of tensors, or of None: a text begins.

        Raises:
            ValueError: if there is a state of another form.
        """
        state = features.get("state")
        if not state:
            return [None] * self.num_layers
        if set(state) != {"hidden", "cell"} or {*map(len, state.values())} != {self.num_layers}:
            raise ValueError(
                f"`state` must have 'hidden' and 'cell', each a list of {self.num_layers} tensors, "
                f"as `state_spec` says. Received: { ({name: len(state[name]) for name in state}) }."
            )
        return list(zip(state["hidden"], state["cell"]))

    def layer_groups(self):
        """Group the weights from bottom to top: embeddings, LSTMs, with the last its projection."""
        above = [] if self.projection is None else [self.projection]
        return grouped_weights(self, self.blocks, above)

    def decoder(self):
        """Make what keeps the state; see `keras_plm.backbones.decoding.recurrent_decoding`."""
        return RecurrentDecoder(self)

    def state_spec(self, batch_size=None):
        """Say what is carried: `hidden` and `cell`, a tensor for each LSTM."""
        dtype = float_policy(self.dtype_policy).compute_dtype
        specs = [keras.KerasTensor((batch_size, width), dtype=dtype) for width in self.widths]
        return {"hidden": specs, "cell": list(specs)}

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in _ARGUMENTS}}


def _uniform(bound):
    """Initial weights as torch and the paper draw them."""
    return keras.initializers.RandomUniform(-bound, bound)


def _locked_dropout(rate, dtype, name):
    """Dropout with one mask (B, 1, D) for all tokens of an example."""
    return keras.layers.SpatialDropout1D(rate, dtype=dtype, name=name)


_ARGUMENTS = [name for name in constructor_arguments(AWDLSTMBackbone) if name != "dtype"]
