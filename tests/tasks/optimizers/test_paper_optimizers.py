"""The papers' optimizers, against the formulas of the released code, written here in numpy."""

import inspect
import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import models, transfer
from keras_plm.checkpoints.weight_names import bert_weights, xlnet_weights
from keras_plm.tasks.optimizers.paper_optimizers import default_optimizer
from keras_plm.tasks.training.checkpoint import Checkpoint, resume

STEPS = 20
# Our name of a variable, its shape, and what released code would call it.
VARIABLES = (
    ("kernel", (4, 3), "bert/encoder/layer_0/output/dense/kernel"),
    ("bias", (3,), "bert/encoder/layer_0/output/dense/bias"),
    ("gamma", (3,), "bert/encoder/layer_0/output/LayerNorm/gamma"),
    ("beta", (3,), "bert/encoder/layer_0/output/LayerNorm/beta"),
    ("embeddings", (5, 3), "bert/embeddings/word_embeddings"),
    ("content_bias", (2, 3), "model/transformer/r_w_bias"),
    ("position_bias", (2, 3), "model/transformer/r_r_bias"),
    ("segment_bias", (2, 3), "model/transformer/r_s_bias"),
)


def values(seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape) for _, shape, _ in VARIABLES]


def gradients(step):
    """Of a global norm that is now 6 and now 0.3, and as small as epsilon in some columns."""
    found = values(step + 1)
    for one in found:
        one[..., 0] *= 3e-6
    return [one * (0.05 if step % 3 else 1.0) for one in found]


def made_variables():
    return [
        keras.Variable(value.astype("float32"), name=name)
        for (name, _, _), value in zip(VARIABLES, values())
    ]


def run(optimizer, variables, batches):
    """The values of the variables after every step."""
    found = []
    for batch in batches:
        optimizer.apply([ops.convert_to_tensor(one, "float32") for one in batch], variables)
        found.append([ops.convert_to_numpy(variable).copy() for variable in variables])
    return found


# === The released formulas ===


def rate(step):
    """Linear warm-up over 5 steps, then linear decay over 15, as released: the first has 0."""
    return 0.05 * (step / 5 if step < 5 else (STEPS - step) / (STEPS - 5))


def clipped(batch, most):
    norm = math.sqrt(sum((one**2).sum() for one in batch))
    return [one * most / max(norm, most) for one in batch]


def moments(old, gradient, betas):
    m, v = old
    return betas[0] * m + (1 - betas[0]) * gradient, betas[1] * v + (1 - betas[1]) * gradient**2


def correction(step, betas):
    return math.sqrt(1 - betas[1] ** (step + 1)) / (1 - betas[0] ** (step + 1))


def google(include, decay=0.01, betas=(0.9, 0.999), epsilon=1e-6):
    """`AdamWeightDecayOptimizer` of BERT's optimization.py, or with `include` of model_utils.py."""

    def update(step, p, m, v, name):
        decays = any(re.search(one, name) for one in include) or not any(
            re.search(one, name) for one in ("LayerNorm", "layer_norm", "bias")
        )
        change = m / (np.sqrt(v) + epsilon)
        if decays:
            change = change + decay * p
        return p - rate(step) * change

    return betas, 1.0, update


def plain_tensorflow(epsilon=1e-6, betas=(0.9, 0.999)):
    """`tf.train.AdamOptimizer`, which XLNet takes without decay: epsilon beside the root of v."""

    def update(step, p, m, v, name):
        return p - rate(step) * correction(step, betas) * m / (np.sqrt(v) + epsilon)

    return betas, 1.0, update


def fairseq(decay=0.01, betas=(0.9, 0.98), epsilon=1e-6):
    """`optim/adam.py`: the decay first, of everything; RoBERTa clips nothing."""

    def update(step, p, m, v, name):
        p = p * (1 - decay * rate(step))
        return p - rate(step) * correction(step, betas) * m / (np.sqrt(v) + epsilon)

    return betas, np.inf, update


def openai(decay=0.01, betas=(0.9, 0.999), epsilon=1e-8):
    """`opt.py` of GPT-1: the decay of matrices, at the corrected rate."""

    def update(step, p, m, v, name):
        corrected = rate(step) * correction(step, betas)
        # Biases of attention have two axes here, one there: GPT-1 has none, XLNet's are left out.
        matrix = p.ndim > 1
        return p - corrected * (m / (np.sqrt(v) + epsilon) + decay * p * matrix)

    return betas, 1.0, update


def gpt3():
    """The numbers of appendix B in Loshchilov and Hutter's AdamW, of matrices."""
    betas, decay, epsilon = (0.9, 0.95), 0.1, 1e-8

    def update(step, p, m, v, name):
        direction = correction(step, betas) * m / (np.sqrt(v) + epsilon)
        return p - rate(step) * (direction + decay * p * (p.ndim > 1))

    return betas, 1.0, update


ATTENTION = ("r_s_bias", "r_r_bias", "r_w_bias")
PAPERS = {
    "bert": (transfer.bert_optimizer, {}, google(include=ATTENTION)),
    "bert, decay 0.2": (
        transfer.bert_optimizer,
        {"weight_decay": 0.2},
        google(include=ATTENTION, decay=0.2),
    ),
    "xlnet": (transfer.xlnet_optimizer, {}, google(include=ATTENTION)),
    "xlnet without decay": (transfer.xlnet_optimizer, {"weight_decay": 0}, plain_tensorflow()),
    "roberta": (transfer.roberta_optimizer, {}, fairseq()),
    "gpt1": (transfer.gpt1_optimizer, {}, openai()),
    "gpt2": (transfer.gpt2_optimizer, {}, openai()),
    "gpt3": (transfer.gpt3_optimizer, {}, gpt3()),
}


@pytest.mark.parametrize("name", PAPERS)
def test_twenty_steps_as_released(name):
    make, options, (betas, most, update) = PAPERS[name]
    expected, state = values(), [(0.0, 0.0)] * len(VARIABLES)
    schedule = transfer.WarmupPolynomialDecay(0.05, warmup_steps=5, total_steps=STEPS)
    found = run(make(schedule, **options), made_variables(), map(gradients, range(STEPS)))
    norms = [math.sqrt(sum((one**2).sum() for one in gradients(t))) for t in range(STEPS)]
    assert min(norms) < 1 < max(norms)  # some are clipped and some are not
    for step in range(STEPS):
        batch = clipped(gradients(step), most) if np.isfinite(most) else gradients(step)
        state = [moments(old, one, betas) for old, one in zip(state, batch)]
        expected = [
            update(step, p, *moment, released)
            for p, moment, (_, _, released) in zip(expected, state, VARIABLES)
        ]
        for value, right, (variable, _, _) in zip(found[step], expected, VARIABLES):
            note = f"{variable} at step {step}"
            np.testing.assert_allclose(value, right, rtol=1e-5, atol=1e-5, err_msg=note)


def test_the_formulas_tell_each_other_apart():
    """The numpy formulas, that is: else the comparison would say little."""
    ends = []
    for betas, most, update in (
        google(include=ATTENTION),
        google(include=()),
        google(include=ATTENTION, epsilon=1e-7),
        plain_tensorflow(),
        fairseq(),
        openai(),
        gpt3(),
    ):
        p, state = values(), [(0.0, 0.0)] * len(VARIABLES)
        for step in range(STEPS):
            batch = clipped(gradients(step), most) if np.isfinite(most) else gradients(step)
            state = [moments(old, one, betas) for old, one in zip(state, batch)]
            p = [
                update(step, one, *moment, name)
                for one, moment, (_, _, name) in zip(p, state, VARIABLES)
            ]
        ends.append(np.concatenate([one.ravel() for one in p]))
    for index, one in enumerate(ends):
        for other in ends[index + 1 :]:
            assert np.abs(one - other).max() > 1e-3


def test_options_replace_what_the_papers_have():
    optimizer = transfer.roberta_optimizer(
        1e-3, weight_decay=0.1, bias_correction=False, beta_2=0.9, global_clipnorm=2.0, name="mine"
    )
    config = optimizer.get_config()
    assert (config["weight_decay"], config["bias_correction"], config["beta_2"]) == (
        0.1,
        False,
        0.9,
    )
    assert (config["global_clipnorm"], config["name"]) == (2.0, "mine")
    assert transfer.xlnet_optimizer(1e-3, bias_correction=True).bias_correction
    assert not transfer.gpt2_optimizer(1e-3, bias_correction=False).bias_correction


# === What decays, of every system ===

BLOCK = {f"block/attention/{name}/bias" for name in ("query", "key", "value", "attention_output")}
BLOCK |= {"block/intermediate/bias", "block/feedforward_output/bias"}
BLOCK |= {"block/attention_norm/gamma", "block/attention_norm/beta"}
BLOCK |= {"block/feedforward_norm/gamma", "block/feedforward_norm/beta"}
GPT = BLOCK | {"final_norm/gamma", "final_norm/beta"}
XLM = BLOCK | {"embedding_norm/gamma", "embedding_norm/beta", "tokens/bias"}
ROBERTA = XLM | {f"tokens/transform{name}" for name in ("/bias", "_norm/gamma", "_norm/beta")}
BERT = ROBERTA | {"pooler/bias", "sentence_pair/logits/bias"}
ERNIE2 = (
    ROBERTA
    | {"pooler/bias"}
    | {
        f"{task}/logits/bias"
        for task in ("capitals", "token_document", "sentence_reordering", "discourse_relation")
    }
)
ERNIE_THU = BERT | {f"block/entity_{name}/bias" for name in ("intermediate", "output")}
ERNIE_THU |= {one.replace("block/att", "block/entity_att") for one in BLOCK if "k/att" in one}
ERNIE_THU |= {f"block/entity_norm/{name}" for name in ("gamma", "beta")}
ERNIE_THU |= {one.replace("tokens", "entities") for one in BERT if "tokens/transform" in one}
MT_DNN = BLOCK | {"embedding_norm/gamma", "embedding_norm/beta", "pooler/bias"}
MT_DNN |= {f"{one}/label/logits/bias" for one in ("cola", "sst2")} | {"stsb/score/logits/bias"}
MT_DNN |= {f"{one}/choice/logits/bias" for one in ("qnli", "wnli")}
MT_DNN |= {
    f"{pairs}/label/{one}/bias"
    for pairs in ("mnli", "mrpc", "qqp", "rte")
    for one in ("gru", "logits", "query", "summary")
}
SPANBERT = ROBERTA | {"span_boundary/edges/bias"}
SPANBERT |= {"span_boundary/edges_norm/gamma", "span_boundary/edges_norm/beta"}
SPANBERT |= {f"span_boundary/output_head/transform{name}" for name in ("/bias", "_norm/gamma")}
SPANBERT |= {"span_boundary/output_head/transform_norm/beta", "span_boundary/output_head/bias"}
XLNET = {one for one in BLOCK if not one.startswith("block/attention/")} | {"tokens/bias"}
SIDES = {f"{side}_{one}" for side in ("encoder", "decoder") for one in BLOCK}
SIDES |= {f"decoder_block/cross_attention{one.removeprefix('block/attention')}" for one in BLOCK
          if one.startswith("block/attention")}  # fmt: skip
MASS = SIDES | {
    f"{side}_embedding_norm/{one}" for side in ("encoder", "decoder") for one in ("gamma", "beta")
}
T5 = {one for one in SIDES if one.endswith("gamma")}
T5 |= {f"{side}_final_norm/gamma" for side in ("encoder", "decoder")}
ELMO = {f"{side}_lstm/gates/bias" for side in ("forward", "backward")} | {"forward/softmax/bias"}
ELMO |= {f"character_cnn/{one}/bias" for one in ("convolution", "highway_gate", "projection")}
ELMO |= {"character_cnn/highway_transform/bias"}
# The system, its layout, what does not decay, and how many others there are, blocks as one.
SYSTEMS = {
    "xlnet": ("xlnet", XLNET, 13),
    "transformer_xl": ("gpt", XLNET, 10),
    "bert": ("bert", BERT, 12),
    "bert_wwm": ("bert", BERT, 12),
    "roberta": ("roberta", ROBERTA, 10),
    "spanbert": ("bert", SPANBERT, 13),
    "ernie1": ("bert", BERT, 12),
    "ernie2": ("bert", ERNIE2, 16),
    "ernie_thu": ("bert", ERNIE_THU, 19),
    "mt_dnn": ("bert", MT_DNN, 35),
    "gpt1": ("gpt", BLOCK, 8),
    "gpt2": ("gpt", GPT, 8),
    "gpt3": ("gpt", GPT, 8),
    "unilm": ("bert", BERT, 12),
    "mpnet": ("bert", ROBERTA, 10),
    "xlm": ("xlm", XLM, 9),
    "transformer": ("bert", SIDES, 17),
    "mass": ("bert", MASS, 19),
    "bart": ("bert", MASS, 19),
    "t5": ("sentinels", T5, 19),
    "elmo": ("words", ELMO, 12),
    "ulmfit": ("gpt", {"lstm/gates/bias", "tokens/bias"}, 3),
    "siatl": ("gpt", {"lstm/gates/bias", "projection/bias"}, 4),
    "skip_gram": ("gpt", set(), 2),
}
NO_TRANSFORMERS = ("elmo", "ulmfit", "siatl", "skip_gram")


def small(name, layout, tokenizers):
    sizes = dict(num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, sequence_length=32)
    sizes = {} if name in NO_TRANSFORMERS else sizes
    return getattr(models, name)(tokenizers[layout], "tiny", **sizes)


def without_numbers(path):
    return re.sub("(block|lstm|convolution|highway)_[0-9]+", r"\1", path)


def decaying(optimizer, variables):
    """The paths of the variables that a step without gradients changes, and of the others."""
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    optimizer.build(variables)
    optimizer.apply([ops.zeros(variable.shape) for variable in variables], variables)
    changed = {True: set(), False: set()}
    for variable in variables:
        one = (ops.convert_to_numpy(variable) == 1).all()
        changed[not one].add(without_numbers(variable.path))
    return changed[True], changed[False]


def test_every_system_has_a_row():
    functions = inspect.getmembers(models, inspect.isfunction)
    own = {name for name, one in functions if one.__module__ == models.__name__}
    assert set(SYSTEMS) == {name for name in own if not name.startswith("_")}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.usefixtures("quick_compilation")
def test_what_does_not_decay(name, tokenizers, sentinels, word_tokenizer):
    layout, expected, others = SYSTEMS[name]
    others_by_name = {"sentinels": sentinels, "words": word_tokenizer}
    model = small(name, layout, {**tokenizers, **others_by_name})
    model.compile("auto")
    decay, stay = decaying(model.optimizer, model.trainable_variables)
    assert stay == expected
    assert len(decay) == others and not decay & stay


BERT_PARTS = {"embedding_norm": True, "num_segments": 2, "pooler": True}


@pytest.mark.parametrize(
    "name, rows, heads",
    [
        ("bert", bert_weights.bert_rows(BERT_PARTS), bert_weights.BERT_HEADS),
        ("xlnet", xlnet_weights.BACKBONE + xlnet_weights.OWN_BIASES, xlnet_weights.HEADS),
    ],
)
@pytest.mark.usefixtures("quick_compilation")
def test_what_does_not_decay_as_released(name, rows, heads, tokenizers):
    """The released patterns, on the names that the released checkpoints have."""
    released = {row.ours: row.tensorflow for row in rows}
    for head in ("tokens", "sentence_pair"):
        released |= {f"{head}/{row.ours}": row.tensorflow for row in heads.get(head, ())}
    released = {without_numbers(ours.replace("{layer}", "0")): n for ours, n in released.items()}
    make = {"bert": transfer.bert_optimizer, "xlnet": transfer.xlnet_optimizer}[name]
    model = small(name, SYSTEMS[name][0], tokenizers)
    decay, stay = decaying(make(0.1), model.trainable_variables)
    assert decay | stay == set(released)
    include = ("r_s_bias", "r_r_bias", "r_w_bias") if name == "xlnet" else ()
    exclude = ("LayerNorm", "layer_norm", "bias")

    def decays(theirs):
        found = any(re.search(one, theirs) for one in include)
        return found or not any(re.search(one, theirs) for one in exclude)

    assert decay == {ours for ours, theirs in released.items() if decays(theirs)}


# === The optimizer of the tasks ===


def test_the_default_of_the_tasks():
    optimizer = default_optimizer(3e-5)
    assert float(optimizer.learning_rate) == pytest.approx(3e-5)
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.01, 1.0)
    assert (optimizer.epsilon, optimizer.bias_correction) == (1e-6, True)
    assert (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_step_without_a_gradient_shrinks_kernels_only(jit_compile):
    """Checked by what a step does: TensorFlow's names differ from those before it."""
    layers = [keras.layers.Dense(3, name="dense"), keras.layers.LayerNormalization(name="norm")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    model.compile(default_optimizer(0.1), loss="mse", jit_compile=jit_compile)
    model.fit(np.ones((2, 3)), np.ones((2, 3)), sample_weight=np.zeros(2), verbose=0)
    found = {weight.name: ops.convert_to_numpy(weight) for weight in model.trainable_weights}
    np.testing.assert_allclose(found.pop("kernel"), 1 - 0.1 * 0.01, rtol=1e-6)
    assert sorted(found) == ["beta", "bias", "gamma"]
    for value in found.values():
        np.testing.assert_array_equal(value, 1)


def test_a_checkpoint_of_the_optimizer_before_goes_on(make_classifier, tmp_path, quick):
    """`keras.optimizers.AdamW`, which left out every name that ends like a bias."""
    before = keras.optimizers.AdamW(1e-3, weight_decay=0.01, global_clipnorm=1.0)
    before.exclude_from_weight_decay(var_names=["(bias|beta|gamma)(:0)?$"])
    old, new = (make_classifier(num_layers=1) for _ in range(2))
    old.compile(before, **quick)
    old.fit(["a boat", "a fish"], [0, 1], verbose=0)
    callback = Checkpoint(tmp_path / "checkpoint", start=7)
    callback.set_model(old)
    callback.save()
    new.compile(default_optimizer(1e-3), **quick)
    assert resume(new, tmp_path / "checkpoint", may_differ="optimizer") == 7
    assert len(old.optimizer.variables) > 20
    for one, other in zip(old.optimizer.variables, new.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))
