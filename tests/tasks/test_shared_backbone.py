"""Tasks that share a backbone: none changes it, and each trains what its own graph uses."""

import numpy as np
import pytest

from keras_plm.tasks import PermutationLM, TextClassifier

QUERY = "embedding/query_vector"


def trained(model):
    """The paths of the weights that a model trains, once it is said that it is all of them."""
    both = [*model.trainable_weights, *model.non_trainable_weights]
    assert {id(weight) for weight in both} == {id(weight) for weight in model.weights}
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    assert {id(one) for one in variables} == {id(one) for one in model.variables}
    assert [w.path for w in model.trainable_weights] == [v.path for v in model.trainable_variables]
    return [weight.path for weight in model.trainable_weights]


@pytest.fixture
def pretrainer(make_pretrainer):
    return make_pretrainer(num_layers=1)


def test_a_probe_beside_pretraining_changes_nothing_of_it(pretrainer):
    backbone = pretrainer.backbone
    before, alone = trained(pretrainer), [weight.path for weight in backbone.trainable_weights]
    assert QUERY in before and QUERY not in alone
    classifier = TextClassifier(backbone, 2, pretrainer.preprocessor)
    writer = PermutationLM(backbone, pretrainer.preprocessor)
    assert QUERY not in trained(classifier) and QUERY in trained(writer)
    assert trained(pretrainer) == before
    assert [weight.path for weight in backbone.trainable_weights] == alone


def test_the_query_vector_is_trained_after_a_probe(pretrainer, corpus, objective, quick):
    from keras_plm import data

    classifier = TextClassifier(pretrainer.backbone, 2, pretrainer.preprocessor)
    vector = pretrainer.backbone.embedding.query_vector
    values = [np.array(vector)]
    classifier.compile(**quick)
    classifier.fit(["a boat", "a fish"], [0, 1], verbose=0)
    values.append(np.array(vector))
    pretrainer.compile("sgd", **quick)
    pretrainer.fit(data.examples(corpus, objective, 2), steps_per_epoch=1, verbose=0)
    values.append(np.array(vector))
    assert (values[0] == values[1]).all() and (values[1] != values[2]).any()


@pytest.mark.parametrize("freeze", ["the vector", "the embedding", "the backbone", "the task"])
def test_what_a_user_freezes_stays_frozen(freeze, pretrainer):
    backbone = pretrainer.backbone
    if freeze == "the vector":
        backbone.train_query_rows(False)
        left = trained(pretrainer)
        assert QUERY not in left and "embedding/token_embedding/embeddings" in left
        backbone.train_query_rows(None)
        assert QUERY in trained(pretrainer)
    else:
        frozen = {
            "the embedding": backbone.embedding,
            "the backbone": backbone,
            "the task": pretrainer,
        }
        frozen[freeze].trainable = False
        assert QUERY not in trained(pretrainer)
        frozen[freeze].trainable = True
        assert QUERY in trained(pretrainer)
