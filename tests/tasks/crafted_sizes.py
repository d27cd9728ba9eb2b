"""Presets whose sizes are made up: what refusing each of them costs. Run by test_preset_loading.py.

    python tests/tasks/crafted_sizes.py DIRECTORY      prints one line of JSON for each

The process is one of its own, so that its highest memory is that of the refusals.
"""

import json
import resource
import shutil
import sys
import time
import warnings
from pathlib import Path

import h5py
import numpy as np

from keras_plm import presets
from keras_plm.backbones import Backbone, TransformerBackbone, XLNetBackbone
from keras_plm.checkpoints.families.keras_hub_models import hub_arguments, hub_weights
from keras_plm.tasks import TextClassifier

SMALL = {
    "vocabulary_size": 20,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
}
TRANSFORMER = {**SMALL, "max_sequence_length": 8, "num_languages": 2, "num_tasks": 2}
HUB = {**SMALL, "max_sequence_length": 8, "num_segments": 2, "dropout": 0.1}
CLASSES = ("task.json", "settings", "num_classes")
MANY = 10_000_000
OWN = {
    "vocabulary_size": MANY,
    "num_layers": 1000,
    "num_heads": 65_536,
    "head_dim": 65_536,
    "hidden_dim": 65_536,
    "intermediate_dim": 1_048_576,
    "max_sequence_length": MANY,
    "num_segments": MANY,
    "num_languages": MANY,
    "num_tasks": MANY,
    "relative_position_buckets": MANY,
}
HUGGING_FACE = {
    "vocab_size": MANY,
    "hidden_size": 65_536,
    "num_hidden_layers": 1000,
    "intermediate_size": 1_048_576,
    "max_position_embeddings": MANY,
    "type_vocab_size": MANY,
}


def write_own(directory):
    backbone = TransformerBackbone(
        **TRANSFORMER, head_dim=4, pooler=True, relative_position_buckets=4
    )
    TextClassifier(backbone, num_classes=3).save_to_preset(directory)


def write_xlnet(directory):
    TextClassifier(XLNetBackbone(**SMALL), num_classes=3).save_to_preset(directory)


def write_quantized(mode):
    def write(directory):
        backbone = TransformerBackbone(**TRANSFORMER, head_dim=4)
        classifier = TextClassifier(backbone, num_classes=3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classifier.quantize(mode)
        classifier.save_to_preset(directory)

    return write


def write_hugging_face(directory):
    backbone = TransformerBackbone(**SMALL, max_sequence_length=8, pooler=True)
    presets.export_huggingface(backbone, directory)


def write_keras_hub(directory):
    directory.mkdir()
    with h5py.File(directory / "model.weights.h5", "w") as file:
        for _, stored, shape in hub_weights(
            "BertBackbone", hub_arguments("BertBackbone", HUB)
        ).values():
            file[stored] = np.zeros(shape, "float32")
    saved = {
        "class_name": "BertBackbone",
        "config": HUB,
        "registered_name": "keras_hub>BertBackbone",
    }
    (directory / "config.json").write_text(json.dumps(saved))


def sizes(names, *place):
    return {("config.json", *place, name): value for name, value in names.items()}


FORMATS = {
    "own": (write_own, {**sizes(OWN, "config"), CLASSES: MANY}),
    "xlnet": (write_xlnet, {**sizes({n: OWN[n] for n in SMALL}, "config"), CLASSES: MANY}),
    "int8": (write_quantized("int8"), {**sizes(OWN, "config"), CLASSES: MANY}),
    "int4": (write_quantized("int4"), {**sizes(OWN, "config"), CLASSES: MANY}),
    "hugging_face": (write_hugging_face, sizes(HUGGING_FACE)),
    "keras_hub": (write_keras_hub, sizes({n: OWN[n] for n in HUB if n in OWN}, "config")),
}


def change(directory, place, value):
    """Replace one value of a JSON file."""
    file, *keys = place
    path = directory / file
    whole = found = json.loads(path.read_text())
    for key in keys[:-1]:
        found = found[key]
    found[keys[-1]] = value
    path.write_text(json.dumps(whole))


def load(directory):
    """Load as the task that the preset is of; others' directories as a new classifier."""
    arguments = {} if (directory / "task.json").exists() else {"num_classes": 2}
    return TextClassifier.from_preset(directory, **arguments)


def highest():
    """The highest resident memory until now, MB; where Linux says it, without the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main(folder):
    for form, (write, crafted) in FORMATS.items():
        write(folder / form)
        load(folder / form)  # what a first load compiles is no matter here
        for place, value in crafted.items():
            directory = folder / "crafted"
            shutil.copytree(folder / form, directory)
            change(directory, place, value)
            memory, start, message = highest(), time.process_time(), None
            try:
                load(directory)
            except ValueError as error:
                message = str(error)
            cost = {"seconds": time.process_time() - start, "megabytes": highest() - memory}
            print(json.dumps({"form": form, "place": place[-1], "message": message, **cost}))
            shutil.rmtree(directory)
    assert Backbone.from_preset(folder / "own").num_layers == 2


if __name__ == "__main__":
    main(Path(sys.argv[1]))
