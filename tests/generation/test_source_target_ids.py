"""Sources and targets as ids: what is known of a decoder's start, and what nobody says."""

import numpy as np
import pytest

from keras_plm.generation.source_target_ids import SourceTargetIds
from keras_plm.preprocessing.seq2seq_preprocessor import Seq2SeqPreprocessor


@pytest.fixture(scope="module")
def backbone(make_seq2seq, byte_level):
    learned = dict(positions="learned", max_sequence_length=8)
    return make_seq2seq(byte_level.vocabulary_size, source_vocabulary_size=400, **learned)


def test_what_a_decoder_starts_with(backbone, byte_level):
    begin, end = byte_level.cls_token_id, byte_level.sep_token_id
    preprocessor = Seq2SeqPreprocessor(byte_level, 8)
    ids = SourceTargetIds(preprocessor, backbone)
    assert (ids.start, ids.end) == (begin, end)
    assert ids.known(as_text=True) == ids.known(as_text=False) == [begin]
    bart = SourceTargetIds(preprocessor, backbone, end)
    assert bart.known(as_text=True) == [end, begin] and bart.known(as_text=False) == [end]
    own = list(byte_level.encode("a"))
    assert ids.target_rows(["a"]) == [[*own, end]]
    assert bart.target_rows(["a"]) == [[begin, *own, end]]
    assert ids.source_rows(["a"]) == ([[begin, *own, end]], True)


def test_ids_are_taken_as_they_are(backbone):
    ids = SourceTargetIds(None, backbone, 5)
    assert ids.end is None and ids.start == 5
    assert ids.source_rows(np.array([[7, 399]])) == ([[7, 399]], False)
    features, y, weight = ids.arrays([[7, 8, 9]], [[3, 4]], 4, 3)
    tokens, asked = y["tokens"], weight["tokens"] > 0
    assert features["source_token_ids"].tolist() == [[7, 8, 9, 0]]
    assert features["token_ids"].tolist() == [[5, 3, 0]] and tokens.tolist() == [[3, 4, 0]]
    assert asked.tolist() == [[True, True, False]] and "language_ids" not in features


def test_what_is_refused(backbone):
    ids = SourceTargetIds(None, backbone)
    with pytest.raises(ValueError, match="give `start_token_id`"):
        ids.known(as_text=False)
    with pytest.raises(ValueError, match="Texts need a preprocessor"):
        ids.source_rows(["a"])
    for rows, message in (
        ([[]], "from 1 to 8 tokens"),
        ([[1] * 9], "source 0 with 9 tokens"),
        ([[400]], r"must lie in \[0, 400\)"),
    ):
        with pytest.raises(ValueError, match=message):
            ids.source_rows(rows)
    with pytest.raises(ValueError, match=r"must lie in \[0, 300\)"):
        ids.target_rows([[399]])
    with pytest.raises(TypeError, match="must be a list"):
        ids.source_rows("a")
    with pytest.raises(ValueError, match="an empty list|holds no"):
        ids.source_rows([])
