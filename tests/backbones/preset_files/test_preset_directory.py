"""Presets that nobody vouches for: refused with a clear error, and nothing is left behind."""

import json
import os
import shutil
import tempfile

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import Backbone, XLNetBackbone
from keras_plm.backbones.preset_files import weights_file
from keras_plm.backbones.preset_files.preset_directory import read_dtype_policy

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
TABLE = "layers/token_and_query_embedding/token_embedding/vars/0"
SMALL = {
    "vocabulary_size": 20,
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
}
TEXTS = {
    "token_ids": np.array([[1, 2, 3]], "int32"),
    "padding_mask": np.array([[True, True, True]]),
    "segment_ids": np.array([[0, 1, 2]], "int32"),
}


@pytest.fixture(scope="module")
def backbone():
    return XLNetBackbone(**SMALL)


@pytest.fixture
def preset(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def contents(directory):
    """Every file below a directory, with its bytes."""
    return {
        path.relative_to(directory): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def change_config(preset, *keys, value):
    """Replace one value of the preset's config, wherever it stands."""
    config = place = json.loads((preset / CONFIG).read_text())
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (preset / CONFIG).write_text(json.dumps(config))


def replace_table(preset, **options):
    """Write the embedding table again, with other options of HDF5."""
    with h5py.File(preset / WEIGHTS, "a") as file:
        data = options.pop("data", file[TABLE][()])
        del file[TABLE]
        file.create_dataset(TABLE, data=data, **options)


def edit(action):
    """A change of the weights file by one function of the open file."""

    def change(preset):
        with h5py.File(preset / WEIGHTS, "a") as file:
            action(file)

    return change


def set_value(file):
    file[TABLE][0, 0] = np.nan
    del file[TABLE].attrs["sha256"]


def remove(file):
    del file[TABLE]


def add(file):
    file["layers/another/vars/0"] = np.zeros(3)


def add_block(file):
    assert "transformer_xl_block" in file["layers"]
    file["layers/transformer_xl_block_1/vars/0"] = np.zeros(3)


def second_link(file):
    file["layers/another"] = file[TABLE]


def soft_link(file):
    remove(file)
    file[TABLE] = h5py.SoftLink("/layers/transformer_xl_block/vars/0")


def external_link(file):
    remove(file)
    with h5py.File(os.path.join(os.path.dirname(file.filename), "..", "other.h5"), "w") as other:
        other["table"] = np.zeros((20, 8), "float32")
    file[TABLE] = h5py.ExternalLink("../other.h5", "table")


def virtual(file):
    remove(file)
    layout = h5py.VirtualLayout((20, 8), "float32")
    layout[:] = h5py.VirtualSource("../other.h5", "table", (20, 8))
    file.create_virtual_dataset(TABLE, layout)


def external_storage(file):
    remove(file)
    other = os.path.join(os.path.dirname(file.filename), "..", "other.bin")
    with open(other, "wb") as stream:
        stream.write(bytes(20 * 8 * 4))
    file.create_dataset(TABLE, (20, 8), "float32", external=[(other, 0, 20 * 8 * 4)])


def huge(file):
    remove(file)
    file.create_dataset(TABLE, (10**7, 10**5), "float32")  # nothing of it is on the disk


def text(file):
    remove(file)
    file[TABLE] = "import os"


def truncate(preset):
    path = preset / WEIGHTS
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def link_out(name):
    """Move a file out of the preset and link to it."""

    def change(preset):
        outside = preset.parent / "outside"
        (preset / name).rename(outside)
        (preset / name).symlink_to(outside)

    return change


BAD_FILES = {
    "no weights": (lambda preset: (preset / WEIGHTS).unlink(), "no file.*model.weights.h5"),
    "no config": (lambda preset: (preset / CONFIG).unlink(), "no file.*config.json"),
    "truncated weights": (truncate, "not a usable weights file"),
    "empty weights": (lambda preset: (preset / WEIGHTS).write_bytes(b""), "not a usable"),
    "weights that are no HDF5": (lambda p: (p / WEIGHTS).write_bytes(b"x" * 999), "not a usable"),
    "a missing array": (edit(remove), f"1 missing: {TABLE}"),
    "a block more": (edit(add_block), "1 unexpected: layers/transformer_xl_block_1/vars/0"),
    "a misshapen array": (
        lambda preset: replace_table(preset, data=np.zeros((21, 8), "float32")),
        rf"{TABLE} \(expected \(20, 8\), received \(21, 8\)\)",
    ),
    "NaN": (edit(set_value), "not finite.*token_embedding/embeddings"),
    "a compressed array": (lambda p: replace_table(p, compression="gzip"), f"{TABLE}.*compressed"),
    "a second link": (edit(second_link), "second link"),
    "a soft link": (edit(soft_link), f"{TABLE}.*link to another place"),
    "an external link": (edit(external_link), f"{TABLE}.*link to another place"),
    "a virtual data set": (edit(virtual), f"{TABLE}.*another file"),
    "external storage": (edit(external_storage), f"{TABLE}.*another file"),
    "a huge array": (edit(huge), f"{TABLE}.*not all there"),
    "text instead of numbers": (edit(text), f"{TABLE}.*array of numbers"),
    "config that is no JSON": (lambda p: (p / CONFIG).write_text("{'a': 1"), "not valid JSON"),
    "config that is a list": (lambda p: (p / CONFIG).write_text("[1]"), "JSON object.*list"),
    "config with NaN": (lambda p: (p / CONFIG).write_text('{"a": NaN}'), "NaN"),
    "config of another encoding": (
        lambda preset: (preset / CONFIG).write_bytes(b"\xff\xfe{}"),
        "not valid JSON",
    ),
    "weights outside": (link_out(WEIGHTS), "link that leads out"),
    "config outside": (link_out(CONFIG), "link that leads out"),
}

LAMBDA = {"class_name": "Lambda", "module": "keras.layers", "config": {"function": "print"}}
BAD_CONFIGS = {
    "unknown class": (("class_name",), "NoSuchBackbone", "preset of the class"),
    "no class": (("class_name",), None, "preset of the class"),
    "class of KerasHub": (
        ("registered_name",),
        "keras_hub>XLNetBackbone",
        "keras_hub>XLNetBackbone.*Expected one of.*XLNetBackbone",
    ),
    "class of nobody": (("registered_name",), None, "preset of the class"),
    "no arguments": (("config",), None, "no `config` object"),
    "unknown argument": (("config", "trust_remote_code"), True, "trust_remote_code.*It takes"),
    "a path": (("config", "name"), "/etc/passwd", r"name.*path or a URL.*'/etc/passwd'"),
    "a path up": (("config", "name"), "..", "path or a URL"),
    "a URL": (("config", "activation"), "https://host", "activation.*path or a URL"),
    "huge vocabulary": (("config", "vocabulary_size"), 10**12, "vocabulary_size.*1000000000000"),
    "huge depth": (("config", "num_layers"), 10**6, "num_layers.*1000000"),
    "huge memory": (("config", "memory_length"), 10**9, "memory_length.*1000000000"),
    "another vocabulary": (("config", "vocabulary_size"), 21, r"expected \(21, 8\).*\(20, 8\)"),
    "a negative size": (("config", "num_layers"), -1, "num_layers=-1"),
    "no heads": (("config", "num_heads"), 0, "num_heads=0"),
    "a fraction": (("config", "hidden_dim"), 8.5, "hidden_dim=8.5"),
    "an endless number": (("config", "dropout"), float("inf"), "Infinity"),
    "a layer for an activation": (("config", "activation"), LAMBDA, "by its name"),
    "an unknown policy": (("config", "dtype"), {"class_name": "Lambda"}, "Not a dtype policy"),
    "an unknown argument of a policy": (
        ("config", "dtype"),
        {"class_name": "DTypePolicy", "config": {"name": "float32", "path": "x"}},
        "Not a dtype policy.*path",
    ),
    "a pattern for a layer": (
        ("config", "dtype"),
        {
            "class_name": "DTypePolicyMap",
            "config": {"default_policy": None, "policy_map": {"(a+)+$": "float32"}},
        },
        r"\(a\+\)\+\$",
    ),
    "another size": (("config", "intermediate_dim"), 24, r"expected \(8, 24\), received \(8, 16\)"),
    "another depth": (("config", "num_layers"), 2, "missing: layers/transformer_xl_block_1"),
}


def refused(preset, message):
    """Loading fails with that message, and leaves files, settings and class as they were."""
    before, temporary = contents(preset.parent), set(os.listdir(tempfile.gettempdir()))
    policy = keras.config.dtype_policy().name
    for cls in (XLNetBackbone, Backbone):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            cls.from_preset(preset)
    assert contents(preset.parent) == before
    assert set(os.listdir(tempfile.gettempdir())) <= temporary
    assert keras.config.dtype_policy().name == policy


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path_factory, monkeypatch):
    """Others may write into the common one meanwhile."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))


def test_an_array_apart_is_passed_over(preset, backbone, caplog):
    edit(add)(preset)
    found = Backbone.from_preset(preset)
    for ours, theirs in zip(found.get_weights(), backbone.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    (record,) = caplog.records
    assert "passed over: layers/another/vars/0. `strict=True`" in record.getMessage()
    with pytest.raises(ValueError, match="1 unexpected: layers/another/vars/0. Use"):
        XLNetBackbone.from_preset(preset, strict=True)
    Backbone.from_preset(preset, load_weights=False, strict=True)


@pytest.mark.parametrize("change, message", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(preset, change, message):
    change(preset)
    refused(preset, message)


@pytest.mark.parametrize("keys, value, message", BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_bad_configs(preset, keys, value, message):
    change_config(preset, *keys, value=value)
    refused(preset, message)


def test_bad_weights_of_a_quantized_preset(tmp_path):
    quantized = XLNetBackbone(**SMALL)
    with pytest.warns(UserWarning, match="quantize"):
        quantized.quantize("int8")
    quantized.save_to_preset(tmp_path / "whole")
    preset = tmp_path / "preset"
    for change, message in (
        (edit(remove), r"missing are.*\[\(\(20, 8\), 'int8'\)\]"),
        (
            lambda preset: replace_table(preset, data=np.zeros((21, 8), "int8")),
            r"missing are.*\[\(\(20, 8\), 'int8'\)\], unexpected are \[\(\(21, 8\), 'int8'\)\]",
        ),
        (edit(add), r"unexpected are \[\(\(3,\), 'float64'\)\]"),
        (edit(set_value_of_norm), "not finite"),
    ):
        shutil.rmtree(preset, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", preset)
        change(preset)
        refused(preset, message)


def set_value_of_norm(file):
    norm = file["layers/transformer_xl_block/attention_norm/vars/0"]
    norm[0] = np.inf
    del norm.attrs["sha256"]


def test_no_such_preset(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_PLM_OFFLINE", "1")
    monkeypatch.setenv("KERAS_PLM_CACHE", str(tmp_path / "cache"))
    for preset in (tmp_path / "nothing", "hf://someone/something", "xlnet_base"):
        with pytest.raises(FileNotFoundError, match="config.json"):
            Backbone.from_preset(preset)
    assert not list(tmp_path.iterdir())


def test_unknown_argument_of_the_caller(preset):
    with pytest.raises(ValueError, match=r"no arguments \['droput'\].*'dropout'"):
        Backbone.from_preset(preset, droput=0.1)


def test_a_backbone_still_works_after_a_refusal(preset, backbone):
    expected = ops.convert_to_numpy(backbone(TEXTS))
    truncate(preset)
    refused(preset, "not a usable")
    backbone.save_to_preset(preset)
    np.testing.assert_array_equal(ops.convert_to_numpy(backbone(TEXTS)), expected)
    again = Backbone.from_preset(preset)
    np.testing.assert_array_equal(ops.convert_to_numpy(again(TEXTS)), expected)


def test_saving_replaces_an_older_preset(preset):
    (preset / "old.txt").write_text("of the older preset")
    other = XLNetBackbone(**{**SMALL, "num_layers": 2})
    other.save_to_preset(preset)
    assert {path.name for path in preset.iterdir()} == {CONFIG, WEIGHTS}
    assert {path.name for path in preset.parent.iterdir()} == {"preset"}
    assert Backbone.from_preset(preset).num_layers == 2


def test_saving_replaces_no_foreign_directory(backbone, tmp_path):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.txt").write_text("years of work")
    with pytest.raises(ValueError, match="exists and holds no config.json"):
        backbone.save_to_preset(foreign)
    with pytest.raises(ValueError, match="a file of that name exists"):
        backbone.save_to_preset(foreign / "chapter.txt")
    assert contents(tmp_path) == {(foreign / "chapter.txt").relative_to(tmp_path): b"years of work"}


def test_saving_is_whole_or_not_at_all(preset, backbone, monkeypatch):
    def fail(model, path):
        raise OSError("No space left on device")

    before = contents(preset.parent)
    monkeypatch.setattr(weights_file, "write_weights", fail)
    for directory in (preset, preset.parent / "new"):
        with pytest.raises(OSError, match="No space left"):
            backbone.save_to_preset(directory)
    assert contents(preset.parent) == before
    assert {path.name for path in preset.parent.iterdir()} == {"preset"}


def test_a_policy_is_no_path(preset):
    """The name of Keras's int4 policy has a slash."""
    int4 = keras.dtype_policies.get("int4/128_from_float32")
    layers = keras.dtype_policies.DTypePolicyMap("float32", {"block_9/query": int4})
    change_config(preset, "config", "dtype", value=keras.dtype_policies.serialize(layers))
    again = Backbone.from_preset(preset)
    assert again.dtype_policy["block_9/query"] == int4


POLICIES = ["float32", "mixed_bfloat16", "int8_from_mixed_bfloat16", "int4/128_from_float32"]


@pytest.mark.parametrize("name", POLICIES)
def test_dtype_policies(name):
    policy = keras.dtype_policies.get(name)
    assert read_dtype_policy(name) == policy
    assert read_dtype_policy(keras.dtype_policies.serialize(policy)) == policy
    layers = keras.dtype_policies.DTypePolicyMap("float32", {"block_0/query": policy})
    again = read_dtype_policy(keras.dtype_policies.serialize(layers))
    assert again["block_0/query"] == policy and again["other"].name == "float32"


@pytest.mark.parametrize(
    "value",
    [None, 3, {}, {"class_name": "DTypePolicy"}, {"class_name": "Policy", "config": {}}, "floaty"],
)
def test_no_dtype_policies(value):
    with pytest.raises(ValueError, match="dtype policy|dtype"):
        read_dtype_policy(value)


def policy_of(preset, **arguments):
    return XLNetBackbone.from_preset(preset, **arguments).dtype_policy.name


def test_an_argument_wins_over_the_global_policy_and_that_over_the_file(tmp_path):
    XLNetBackbone(**SMALL).save_to_preset(tmp_path / "whole")
    XLNetBackbone(**SMALL, dtype="bfloat16").save_to_preset(tmp_path / "half")
    assert policy_of(tmp_path / "whole") == "float32" and policy_of(tmp_path / "half") == "bfloat16"
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for preset in ("whole", "half"):
            assert policy_of(tmp_path / preset) == "mixed_bfloat16"
            assert policy_of(tmp_path / preset, dtype="float32") == "float32"
    finally:
        keras.config.set_dtype_policy(before)
