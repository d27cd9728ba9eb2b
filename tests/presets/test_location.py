import hashlib
import sys
import types

import pytest

from keras_plm.backbones import Backbone
from keras_plm.presets import cache_directory, catalogue, find_preset
from keras_plm.presets.catalogue import Preset

CONTENT = b"weights"
HANDLE = "hf://someone/some.thing@0123abc"
OFFLINE = "KERAS_PLM_OFFLINE"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of our own; nothing may use the network."""
    monkeypatch.setenv("KERAS_PLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(OFFLINE, raising=False)
    hub = types.ModuleType("huggingface_hub")
    hub.snapshot_download = None
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch):
    """A Hugging Face that has one small repository; returns the list of its calls."""
    calls = []

    def snapshot_download(repository, revision, local_dir, allow_patterns):
        calls.append((repository, revision))
        (local_dir / ".cache").mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            (local_dir / name).write_bytes(CONTENT)
        assert "config.json" in allow_patterns and "pytorch_model.bin" not in allow_patterns

    monkeypatch.setattr(sys.modules["huggingface_hub"], "snapshot_download", snapshot_download)
    return calls


@pytest.fixture
def named(monkeypatch):
    """A function that gives a name to the handle, and says what its weights must be."""

    def named(digest):
        preset = Preset("One", HANDLE, {"model.safetensors": digest})
        monkeypatch.setitem(catalogue.PRESETS, "one", preset)

    return named


def test_directories_are_what_they_are(tmp_path):
    assert find_preset(tmp_path) == tmp_path and find_preset(str(tmp_path)) == str(tmp_path)


def test_a_cached_preset_is_looked_at_first(cache):
    (cache / "xlnet_base_en_cased").mkdir(parents=True)
    assert find_preset("xlnet_base_en_cased") == str(cache / "xlnet_base_en_cased")
    (cache / "someone--some.thing@0123abc").mkdir()
    assert find_preset(HANDLE) == str(cache / "someone--some.thing@0123abc")


def test_files_put_into_the_cache_by_hand(cache, make_directory):
    cache.mkdir()
    make_directory("plain").rename(cache / "xlnet_base_en_cased")
    assert Backbone.from_preset("xlnet_base_en_cased").vocabulary_size == 50


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert cache_directory() == tmp_path / "cache"
    monkeypatch.delenv("KERAS_PLM_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging"))
    assert cache_directory() == tmp_path / "hugging" / "keras_plm"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "huggingface" / "keras_plm"


def test_a_download(hub, cache):
    directory = find_preset(HANDLE)
    assert hub == [("someone/some.thing", "0123abc")]
    assert {path.name for path in cache.iterdir()} == {"someone--some.thing@0123abc"}
    names = {path.name for path in (cache / "someone--some.thing@0123abc").iterdir()}
    assert names == {"config.json", "model.safetensors"}
    assert find_preset(HANDLE) == directory and len(hub) == 1


def test_a_download_by_name_is_checked(hub, named, cache):
    named(hashlib.sha256(CONTENT).hexdigest())
    assert find_preset("one") == str(cache / "one")


def test_other_contents_are_refused(hub, named, cache):
    named("0" * 64)
    with pytest.raises(ValueError, match="model.safetensors.*expected SHA-256 0000.*removed"):
        find_preset("one")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_offline(value, hub, cache, monkeypatch):
    monkeypatch.setenv(OFFLINE, value)
    with pytest.raises(FileNotFoundError, match="KERAS_PLM_OFFLINE is set") as error:
        find_preset("xlnet_base_en_cased")
    message = str(error.value)
    assert not hub
    assert str(cache / "xlnet_base_en_cased") in message
    assert "config.json, model.safetensors, and those of its tokenizer" in message
    assert "huggingface.co/xlnet/xlnet-base-cased/tree/364e6ee6" in message
    with pytest.raises(FileNotFoundError, match="KERAS_PLM_OFFLINE"):
        Backbone.from_preset("xlnet_base_en_cased")
    assert not cache.exists()


def test_online_in_spite_of_the_variable(hub, monkeypatch):
    monkeypatch.setenv(OFFLINE, "0")
    find_preset(HANDLE)
    assert hub


def test_without_the_extra(monkeypatch, cache):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileNotFoundError, match=r"keras-plm\[hub\].*Put its files") as error:
        find_preset(HANDLE)
    assert str(cache) in str(error.value)


def test_without_network(monkeypatch, cache):
    def fail(*arguments, **options):
        raise ConnectionError("no route")

    monkeypatch.setattr(sys.modules["huggingface_hub"], "snapshot_download", fail)
    with pytest.raises(FileNotFoundError, match="ConnectionError: no route.*Put its files"):
        find_preset(HANDLE)


@pytest.mark.parametrize("handle", ["hf:/a/b", "hf://a", "hf://a/b/c", "hf://a/../b", "hf://a/b@"])
def test_malformed_handles(handle):
    with pytest.raises(ValueError, match="must be hf://owner/name@revision"):
        find_preset(handle)


@pytest.mark.parametrize("name", ["xlnet_base", "no/such/directory", "kaggle://a/b"])
def test_unknown_names(name):
    with pytest.raises(FileNotFoundError, match="config.json.*xlnet_base_en_cased"):
        find_preset(name)
