"""Configurations of the BERT and GPT families: one table per system, read in both directions."""

from dataclasses import dataclass, field

from keras_plm.checkpoints.config_values import (
    ACTIVATIONS,
    read_choice,
    read_number,
    read_sizes,
    write_choice,
)
from keras_plm.checkpoints.head_config import (
    read_class_names,
    read_problem_type,
    summary_of,
    write_class_config,
)

# What a `TransformerBackbone` is unless its system says otherwise.
PLAIN = {
    "normalize_first": False,
    "embedding_norm": True,
    "num_segments": 0,
    "num_languages": 0,
    "num_tasks": 0,
    "positions_from_padding": False,
    "causal": False,
    "relative_position_buckets": 0,
    "pooler": False,
}


@dataclass(frozen=True)
class TransformerConfig:
    """What the `config.json` of one system says, and what it need not say.

    Args:
        model_type: its `model_type`.
        sizes: dict of our name of a size to theirs.
        numbers: dict of our name of a number to theirs and its default.
        activation: their name of the activation, and its default.
        flags: dict, those of its family in `families.py`. Of the arguments of `PLAIN` they are what
            all models of the system have, unless free; others are read from each config.
        free: arguments of `PLAIN` that differ from model to model.
        required: dict of their settings that can have one value only.
        activations: dict of their name of an activation to ours.
        constants: dict of settings that are written and not read.
        extra_positions: int. How many rows more than positions their table has.
    """

    model_type: str
    sizes: dict
    numbers: dict
    activation: tuple
    flags: dict = field(default_factory=dict)
    free: tuple = ()
    required: dict = field(default_factory=dict)
    activations: dict = field(default_factory=lambda: ACTIVATIONS)
    constants: dict = field(default_factory=dict)
    extra_positions: int = 0

    def _flags(self):
        """The arguments of `PLAIN`, as the family has them."""
        return {name: self.flags.get(name, value) for name, value in PLAIN.items()}

    def read(self, config):
        """Translate their configuration; what is `free` is left to the system.

        Args:
            config: dict.

        Returns:
            dict of constructor arguments.

        Raises:
            ValueError: if a value is missing, or is none that this system has.
        """
        for key, value in self.required.items():
            if config.get(key, value) != value:
                raise ValueError(
                    f"A {self.model_type} with {key}={config[key]!r:.100} is not supported: it "
                    f"must be {value!r}."
                )
        arguments = read_sizes(config, self.sizes)
        if arguments["hidden_dim"] % arguments["num_heads"]:
            raise ValueError(
                f"{self.sizes['num_heads']!r} must divide {self.sizes['hidden_dim']!r}. Received: "
                f"{arguments['num_heads']} and {arguments['hidden_dim']}."
            )
        arguments["max_sequence_length"] -= self.extra_positions
        if arguments["max_sequence_length"] < 1:
            raise ValueError(
                f"{self.sizes['max_sequence_length']!r} must be above {self.extra_positions}: the "
                f"first rows are of no position. Received: "
                f"{config[self.sizes['max_sequence_length']]}."
            )
        for ours, (theirs, default) in self.numbers.items():
            arguments[ours] = read_number(config, theirs, default)
        arguments["activation"] = read_choice(
            config, self.activation[0], self.activations, self.activation[1]
        )
        fixed = {name: value for name, value in self._flags().items() if name not in self.free}
        return arguments | fixed

    def write(self, arguments):
        """Translate a backbone's configuration; what is `free` is left to the system.

        Args:
            arguments: dict, the backbone's `get_config()`.

        Returns:
            dict.

        Raises:
            ValueError: if this system has no such model.
        """
        arguments = {"task_id": 0, **arguments}  # they have no row but the first
        flags = {**self._flags(), "window": None, "task_id": 0}
        if arguments["head_dim"] is not None:
            flags["head_dim"] = arguments["hidden_dim"] // arguments["num_heads"]
        wrong = {
            name: arguments[name]
            for name, value in flags.items()
            if name not in self.free and arguments[name] != value
        }
        if wrong:
            needed = {name: flags[name] for name in wrong}
            raise ValueError(f"It has {needed}. Received: {wrong}.")
        config = {theirs: arguments[ours] for ours, theirs in self.sizes.items()}
        config[self.sizes["max_sequence_length"]] += self.extra_positions
        config |= {theirs: arguments[ours] for ours, (theirs, _) in self.numbers.items()}
        config[self.activation[0]] = write_choice(arguments, "activation", self.activations)
        return {"model_type": self.model_type, "dtype": "float32", **config, **self.constants}


def read_count(config, key, default, least=0):
    """The number of rows of a table.

    Args:
        config: dict.
        key: str.
        default: int, where the config has none.
        least: int.

    Raises:
        ValueError: if it is no integer, or too small.
    """
    count = read_number(config, key, default, int)
    if count < least:
        raise ValueError(f"{key!r} must be at least {least}. Received: {count}.")
    return count


def check_four_times(arguments):
    """Refuse feed-forward layers that are not four times as wide as the model.

    Args:
        arguments: dict, the backbone's `get_config()`.

    Raises:
        ValueError: if the system would have another width.
    """
    hidden_dim, width = arguments["hidden_dim"], arguments["intermediate_dim"]
    if width != 4 * hidden_dim:
        raise ValueError(
            f"Its feed-forward layers are four times as wide. Received: hidden_dim={hidden_dim}, "
            f"intermediate_dim={width}."
        )


def write_segments(config, arguments):
    """Say in a config how many segments there are.

    Args:
        config: dict; it is changed.
        arguments: dict, the backbone's `get_config()`.

    Raises:
        ValueError: if there are none.
    """
    if arguments["num_segments"] < 1:
        raise ValueError(f"It has segments. Received: num_segments={arguments['num_segments']}.")
    config["type_vocab_size"] = arguments["num_segments"]


def has_pooler(arrays, names, default):
    """Whether a checkpoint has a pooler, which no configuration says.

    Args:
        arrays: function that opens the weights.
        names: collection of str. The names that the pooler's kernel may have.
        default: bool. The answer where there are no weights.
    """
    try:
        return not arrays().shapes.keys().isdisjoint(names)
    except FileNotFoundError:
        return default


def read_classes(config, shapes, kernels, dropout_names):
    """What a checkpoint says about the classes that it was fine-tuned for.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.
        kernels: the names that the kernel of a classifier may have; its rows are the classes.
        dropout_names: the names of the dropout rate before it; the first that is there is taken.

    Returns:
        dict of arguments that a task may take. One class is none: it is a number or a choice.
    """
    settings = {}
    for name in kernels:
        if len(shapes.get(name, ())) == 2:
            if shapes[name][0] > 1:
                settings["num_classes"] = shapes[name][0]
                settings |= read_class_names(config, settings["num_classes"])
                settings |= read_problem_type(config)
            for key in dropout_names:
                if config.get(key) is not None:
                    settings["dropout"] = read_number(config, key, 0.1)
                    break
            break
    if "qa_outputs.weight" in shapes:
        settings["beam"] = False
    return settings


def write_heads(dropout_name, activation=None, summary=None):
    """Make the function that says in a config what a head is.

    Args:
        dropout_name: str or None. Their name of the dropout rate before a classifier.
        activation: str or None. The activation of their masked-LM head's transform; None: that of
            the backbone.
        summary: dict of a head to what it reads of a text in transformers, as `summary_of` says it.

    Returns:
        function, see `System.write_head_config`. It raises ValueError for a head that they would
        compute otherwise.
    """

    def write_head_config(task, head, weights):
        if head == "tokens" and "transform/kernel" in weights:
            ours, theirs = task.heads[head].activation, activation or task.backbone.activation
            if ours != theirs:
                raise ValueError(
                    f"The masked-LM head of such a model has the activation {theirs!r} in "
                    f"transformers. Received: {ours!r}."
                )
        if head not in ("label", "score", "choice", "token_label"):
            return {}
        theirs = (summary or {}).get(head)
        if theirs is not None and summary_of(task, head) != theirs:
            raise ValueError(
                f"The head {head!r} of such a model reads {theirs} in transformers, which is where "
                f"it looks, and the activation behind it. Received: {summary_of(task, head)}."
            )
        config = write_class_config(task, head, weights)
        rate = getattr(task, "dropout", None)
        if dropout_name and rate is not None:
            config[dropout_name] = float(rate)
        return config

    return write_head_config
