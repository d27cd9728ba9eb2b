from types import SimpleNamespace

import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_plm.generation.sampling import (
    ROWS_OF_LOGITS,
    beams,
    find_sampler,
    log_likelihood,
    log_likelihood_of_rows,
    single_results,
    texts_written,
    until_stop,
)
from keras_plm.tasks import BeamSearch


def test_samplers_by_name_and_as_they_are():
    assert type(find_sampler("top_k")) is keras_hub.samplers.TopKSampler
    beams = BeamSearch()
    assert find_sampler(beams) is beams
    for wrong in ("nucleus", "contrastive", None, 3, keras_hub.samplers.GreedySampler):
        with pytest.raises(ValueError, match="`sampler` must be one of"):
            find_sampler(wrong)
    with pytest.raises(ValueError, match="works on logits alone"):
        find_sampler(keras_hub.samplers.ContrastiveSampler())


def test_log_likelihoods_by_hand_and_in_parts():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 7)).astype("float32")
    rows = rng.normal(size=(2, ROWS_OF_LOGITS + 5, 3)).astype("float32")
    ids = rng.integers(0, 7, rows.shape[:2]).astype("int32")
    logits = (rows @ kernel).astype("float64")
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = np.take_along_axis(expected, ids[..., None], axis=-1)[..., 0]
    logits, kernel, rows, ids = map(ops.convert_to_tensor, (rows @ kernel, kernel, rows, ids))
    head = SimpleNamespace(logits=lambda some: ops.matmul(some, kernel))
    got = log_likelihood_of_rows(head, rows, ids)
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, atol=1e-4)
    np.testing.assert_allclose(
        ops.convert_to_numpy(log_likelihood(logits, ids)), expected, atol=1e-4
    )


def test_until_stop():
    assert until_stop(np.array([4, 5, 2, 2]), (2,)) == [4, 5]
    assert until_stop([4, 5, -1], ()) == [4, 5] and until_stop([4, 5], (2,)) == [4, 5]
    assert until_stop([2], (2, 3)) == []


def test_beams_of():
    assert [beam.tolist() for beam in beams(np.array([1, 2]))] == [[1, 2]]
    assert [beam.tolist() for beam in beams(np.array([[1, 2], [3, 4]]))] == [[1, 2], [3, 4]]


def test_texts_written_and_unpacked():
    one = texts_written(np.array([[1, 2], [3, 4]]))
    assert [text.tolist() for text in one] == [[1, 2], [3, 4]]
    assert single_results([["a"], ["b"]], one) == ["a", "b"]
    beams = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    several = texts_written((beams, np.array([[-1.0, -2.0], [-1.0, -1e9]])))
    assert [[text.tolist() for text in own] for own in several] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert single_results([["a", "b"], ["c"]], several) == [["a", "b"], ["c"]]
