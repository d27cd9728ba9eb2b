"""What every opened checkpoint of somebody else's says, whatever its files are."""

from abc import ABC, abstractmethod


class ForeignCheckpoint(ABC):
    """Abstract base of directories of other people's files, not yet read.

    Args:
        directory: the directory.

    Attributes:
        class_name: the name of the backbone class.
        arguments: dict of the constructor arguments that its configuration gives.
        without_heads: str. Why it has no heads, if none are read.
    """

    without_heads = "its heads are not read"

    def __init__(self, directory):
        self.directory = directory

    def __repr__(self):
        return f"<{type(self).__name__} {str(self.directory)!r}>"

    def backbone_weights(self, arguments, strict=True):
        """The values of a backbone's weights, one by one, after all shapes have been compared.

        Args:
            arguments: dict of the constructor arguments of the backbone.
            strict: bool. Whether arrays that stand apart from the model are refused.

        Returns:
            generator of pairs of our path and a float32 array.

        Raises:
            ValueError: see `backbone_places`; from the generator, if a value is not finite.
        """
        places = self.backbone_places(arguments, strict)
        return ((path, read()) for path, (_, read) in places.items())

    @abstractmethod
    def backbone_places(self, arguments, strict=True):
        """Where the values of a backbone's weights are, after all shapes have been compared.

        Args:
            arguments, strict: as those of `backbone_weights`.

        Returns:
            dict of our path to the shape of our weight and a function that reads it, a float32
            array; the function raises ValueError if a value is not finite.

        Raises:
            FileNotFoundError: if there are no weights.
            ValueError: if arrays are missing, unexpected, misshapen or no floats, all in one
                message, see `check_arrays`; or the arguments are those of another model.
        """

    def head_weights(self, heads):
        """The values of the weights of heads, as far as the checkpoint has them in their shapes.

        Args:
            heads: dict of a head's name to a dict of the path of a weight below the head to its
                shape.

        Returns:
            dict of a head's name to a dict of path to float32 array, without the heads that the
            checkpoint has not; and a dict of these to a str: why.

        Raises:
            ValueError: if a head computes something else than ours, or has weights of its own
                where ours shares them with the backbone, or values that are not finite.
        """
        return {}, dict.fromkeys(heads, self.without_heads)

    def settings(self):
        """What the checkpoint says about its task, as arguments that a task may take."""
        return {}

    def tokenizer(self):
        """Where the tokenizer is.

        Returns:
            `keras_plm.checkpoints.conversion.TokenizerFiles`, or None if there is none.

        Raises:
            ValueError: if a setting or a special token is none.
        """
        return None
