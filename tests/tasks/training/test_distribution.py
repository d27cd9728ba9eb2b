"""`keras.distribution` on JAX: four devices train what one device trains.

On TensorFlow Keras has `tf.distribute` in its place.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest

BOOK = Path(__file__).parents[2] / "fixtures" / "botchan.txt"

SCRIPT = """
    import json, sys
    import keras, jax, numpy as np
    from keras_plm import backbones, data, objectives, tasks

    jax.config.update("jax_disable_most_optimizations", True)
    book, directory = sys.argv[1:]
    tokenizer = data.train_tokenizer([book], 300)
    corpus = data.Corpus.build([book], tokenizer, directory + "/corpus", num_workers=1)
    devices = keras.distribution.list_devices()
    assert len(devices) == 4
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    options = dict(dropout=0.0, attention_dropout=0.0, initializer_range=0.3)

    def compiled(model):
        # With Adam's own epsilon, gradients that are 0 but for rounding would take whole steps.
        model.compile(keras.optimizers.Adam(0.01, epsilon=1e-3))
        return model

    def classifier():
        backbone = backbones.TransformerBackbone(
            tokenizer.vocabulary_size, max_sequence_length=16, num_segments=3, **sizes, **options
        )
        preprocessor = tasks.TextPreprocessor(tokenizer, 16)
        model = compiled(tasks.TextClassifier(backbone, 2, preprocessor, dropout=0.0))
        texts = [f"a {word} day" for word in "fine foul long red hot sad big odd".split()]
        weights = np.array([1.0] * 7 + [1e38])  # the guard skips the batch of the last text
        history = model.fit(
            texts, np.arange(8) % 2, sample_weight=weights, batch_size=4, epochs=2, verbose=0
        )
        return model, history.history

    def pretrainer(memory_length=0):
        objective = objectives.PermutationModeling(16, 8, num_predict=4, permutation_size=8)
        backbone = backbones.XLNetBackbone(
            tokenizer.vocabulary_size,
            memory_length=memory_length,
            reuse_length=8,
            **sizes,
            **options,
        )
        model = compiled(tasks.Pretrainer(backbone, objective))
        batches = data.examples(corpus, objective, batch_size=8)
        history = model.fit(batches, steps_per_epoch=2, epochs=2, verbose=0)
        return model, history.history

    def model_parallel():
        mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], devices)
        layouts = keras.distribution.LayoutMap(mesh)
        layouts[".*token_embedding/embeddings"] = ("model", None)
        layouts[".*(query|key|value)/kernel"] = (None, "model", None)
        layouts[".*intermediate/kernel"] = (None, "model")
        layouts[".*feedforward_output/kernel"] = ("model", None)
        return keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")

    distributions = {
        "one": lambda: None,
        "data": lambda: keras.distribution.DataParallel(devices=devices),
        "model": model_parallel,
    }
    trained = {
        "classifier": classifier,
        "pretrainer": pretrainer,
        "memory": lambda: pretrainer(memory_length=8),
    }
    found = {}
    for name, distribution in distributions.items():
        keras.distribution.set_distribution(distribution())
        for task, train in trained.items():
            keras.utils.set_random_seed(0)
            model, history = train()
            values = [variable.value for variable in model.variables]
            shardings = [value.sharding for value in values]
            one = found.setdefault(task, {})[name] = {
                "history": history,
                "devices": sorted({len(one.device_set) for one in shardings}),
                "split": sum("model" in getattr(one, "spec", ()) for one in shardings),
                "values": [np.ravel(np.asarray(value, "float64")).tolist() for value in values],
            }
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Histories and weights, by task and distribution."""
    directory = tmp_path_factory.mktemp("distribution")
    (directory / "script.py").write_text(textwrap.dedent(SCRIPT))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    run = subprocess.run(
        [sys.executable, directory / "script.py", BOOK, directory],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="keras.distribution of JAX")
@pytest.mark.parametrize("distribution", ["data", "model"])
@pytest.mark.parametrize("task", ["classifier", "pretrainer", "memory"])
def test_four_devices_train_what_one_trains(task, distribution, trained):
    one, several = trained[task]["one"], trained[task][distribution]
    assert one["devices"] == [1] and several["devices"] == [4]
    assert (several["split"] > 4) == (distribution == "model")
    assert several["history"].keys() == one["history"].keys()
    skipped = [1, 1] if task == "classifier" else [0, 0]
    assert several["history"]["skipped_batches"] == skipped
    for name, values in one["history"].items():
        np.testing.assert_allclose(several["history"][name], values, rtol=1e-5, err_msg=name)
    pairs = list(zip(several["values"], one["values"], strict=True))
    scales = [np.abs(expected).max(initial=1) for _, expected in pairs]
    apart = [np.abs(np.subtract(*pair)).max(initial=0) for pair in pairs]
    largest = max(one / scale for one, scale in zip(apart, scales))
    print(f"\n{task}, {distribution}: {largest:.1e} of max(1, largest)")
    assert largest < 1e-5
