"""What the configurations of encoder-decoders have in common."""

SWITCH = {True: True, False: False}


def read_head_settings(config, shapes):
    """What a checkpoint says about its head: nothing that its backbone does not.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    return {"transform": False}


def write_head_config(task, head, weights):
    """Say in a config what a head is: nothing that its backbone does not; see `System`."""
    return {}
