import keras
import numpy as np
import pytest

from keras_plm.data import SubwordTokenizer
from keras_plm.tasks import SpanPreprocessor, TextPreprocessor

SEP, CLS, PAD = 4, 3, 5
LENGTH = 24
WORDS = "the boat  two houses é naïve, (and) ½ x-ray 東京 of\tus 1,000 we\u00a0go".split(" ")


@pytest.fixture(scope="module")
def preprocessor(tokenizer):
    return SpanPreprocessor(tokenizer, LENGTH, max_question_length=8, stride=5)


def random_text(random, most=40):
    return " ".join(random.choice(WORDS, random.integers(1, most))) + "."


@pytest.fixture(scope="module")
def many(preprocessor):
    """Random questions and contexts, an answer of 1 to 11 characters in most."""
    random = np.random.default_rng(0)
    questions = [str(random.choice(["who", "why not", "?"])) for _ in range(40)]
    contexts = [random_text(random) for _ in range(40)]
    answers = []
    for context in contexts:
        begin = int(random.integers(0, len(context)))
        text = context[begin : begin + int(random.integers(1, 12))]
        possible = text.strip() and random.random() < 0.8
        answers.append({"text": [text], "answer_start": [begin]} if possible else None)
    return questions, contexts, answers


def test_a_long_question_loses_its_end(preprocessor, tokenizer, caplog):
    """As in run_squad.py: query_tokens[0:max_query_length]."""
    questions = ["who", "the two houses of the naïve boat", "why"]
    ids = tokenizer.encode(questions)
    out, windows = preprocessor.windows((questions, ["the boat"] * 3))
    assert [window.example for window in windows] == [0, 1, 2]
    context = tokenizer.encode("the boat")
    real = out["token_ids"][1][out["padding_mask"][1]].tolist()
    assert len(ids[1]) > 8 and real == [*context, SEP, *ids[1][:8], SEP, CLS]
    (record,) = caplog.records
    assert record.getMessage() == (
        "1 of 3 questions are longer than `max_question_length`=8 tokens, the first of them "
        f"question 1 with {len(ids[1])}: they lose their ends."
    )
    caplog.clear()
    exact = tokenizer.decode(ids[1][:8])
    assert len(tokenizer.encode(exact)) == 8
    preprocessor(([exact], ["the boat"]))
    assert not caplog.records


def test_layout(preprocessor, tokenizer):
    question, context = tokenizer.encode(["who", "the boat"])
    out, windows = preprocessor.windows((["who"], ["the boat"]))
    pad = LENGTH - len(question) - len(context) - 3
    assert out["token_ids"].tolist() == [[PAD] * pad + context + [SEP] + question + [SEP, CLS]]
    segments = [0] * (pad + len(context) + 1) + [1] * (len(question) + 1) + [2]
    assert out["segment_ids"].tolist() == [segments]
    allowed = [False] * pad + [True] * len(context) + [False] * (len(question) + 2) + [True]
    assert out["answer_mask"].tolist() == [allowed]
    assert out["padding_mask"].tolist() == [[False] * pad + [True] * (LENGTH - pad)]
    (window,) = windows
    assert (window.example, window.context, window.first) == (0, "the boat", pad)
    assert (window.start, window.end) == (0, len(context)) and window.owned.all()
    again = preprocessor((["who"], ["the boat"]))
    assert all(np.array_equal(out[name], again[name]) for name in out)


def test_windows_cover_every_token(preprocessor, tokenizer, many):
    questions, contexts, _ = many
    out, windows = preprocessor.windows((questions, contexts))
    assert len(windows) == len(out["token_ids"]) > len(contexts)
    for example, context in enumerate(contexts):
        ids, offsets = tokenizer.encode_with_offsets(context)
        rows = [row for row, window in enumerate(windows) if window.example == example]
        owned, most = np.zeros(len(ids), int), np.zeros(len(ids))
        for number, row in enumerate(rows):
            window = windows[row]
            assert window.context == context and window.start == 5 * number
            tokens = slice(window.first, window.first + window.end - window.start)
            assert out["token_ids"][row, tokens].tolist() == list(ids[window.start : window.end])
            assert out["answer_mask"][row].nonzero()[0].tolist() == [
                *range(tokens.start, tokens.stop),
                LENGTH - 1,
            ]
            np.testing.assert_array_equal(window.offsets, offsets)
            owned[window.start : window.end] += window.owned
            place = np.arange(window.end - window.start)
            around = np.minimum(place, place[::-1])
            most[window.start : window.end] = np.maximum(most[window.start : window.end], around)
        assert (owned == 1).all()  # every token, in one window
        for row in rows:  # of equal ones a shorter window may lose
            window = windows[row]
            place = np.arange(window.end - window.start)
            mine = np.minimum(place, place[::-1])[window.owned]
            assert (mine >= most[window.start : window.end][window.owned]).all()
        assert windows[rows[-1]].end == len(ids)
        assert len(rows) == 1 or windows[rows[-2]].end < len(ids)  # none too many


def test_labels_give_the_answers_back(preprocessor, many):
    questions, contexts, answers = many
    out, windows = preprocessor.windows((questions, contexts))
    labels = preprocessor.labels(windows, answers)
    assert {name: value.dtype.name for name, value in labels.items()} == {
        "start": "int32",
        "end": "int32",
        "impossible": "float32",
    }
    inside = outside = 0
    for row, window in enumerate(windows):
        start, end = int(labels["start"][row]), int(labels["end"][row])
        assert out["answer_mask"][row, [start, end]].all()
        assert (start == LENGTH - 1) == (end == LENGTH - 1) == bool(labels["impossible"][row])
        answer = answers[window.example]
        if answer is None:
            assert labels["impossible"][row]
            continue
        begin = answer["answer_start"][0]
        text = answer["text"][0]
        stop = begin + len(text.rstrip())
        begin += len(text) - len(text.lstrip())
        offsets = window.offsets[window.start : window.end]
        if labels["impossible"][row]:
            outside += 1
            left, right = window.start > 0, window.end < len(window.offsets)
            cut_left = left and begin < window.offsets[window.start - 1, 1]
            cut_right = right and stop > window.offsets[window.end, 0]
            assert cut_left or cut_right
            continue
        inside += 1
        first, last = start - window.first, end - window.first
        assert offsets[first, 0] <= begin < offsets[first, 1]
        assert offsets[last, 0] < stop <= offsets[last, 1]
        piece = contexts[window.example][offsets[first, 0] : offsets[last, 1]]
        assert text.strip() in piece
    assert inside > 20 and outside > 20


def test_an_answer_of_whole_words_comes_back_exactly(preprocessor):
    context = "the boat of two houses, (and) the naïve boat"
    for text in ("two houses", "boat", "(and)", "naïve boat", context):
        start = context.rindex(text)
        _, windows = preprocessor.windows((["who"], [context]))
        labels = preprocessor.labels(windows, [{"text": [text], "answer_start": [start]}])
        for row, window in enumerate(windows):
            if not labels["impossible"][row]:
                place = labels["start"][row] - window.first + window.start
                stop = labels["end"][row] - window.first + window.start
                found = context[window.offsets[place, 0] : window.offsets[stop, 1]]
                assert found == text
        if text != context:
            assert not labels["impossible"].all()


@pytest.mark.parametrize("none", [None, {}, {"text": [], "answer_start": []}])
def test_no_answer(preprocessor, none):
    _, windows = preprocessor.windows((["who"], ["the boat"]))
    labels = preprocessor.labels(windows, [none])
    assert labels["start"].tolist() == labels["end"].tolist() == [LENGTH - 1]
    assert labels["impossible"].tolist() == [1.0]


def test_default_lengths(tokenizer):
    for length, expected in ((512, (64, 128)), (384, (64, 96)), (128, (32, 32)), (16, (4, 4))):
        preprocessor = SpanPreprocessor(tokenizer, length)
        assert (preprocessor.max_question_length, preprocessor.stride) == expected


def answer(text, start):
    return [{"text": [text], "answer_start": [start]}]


@pytest.mark.parametrize(
    "answers, message",
    [
        (answer("house", 4), "Answer 0 is not in its context.*'house'.*'boat'"),
        (answer("boat", 3), "Answer 0 is not in its context at `answer_start`=3"),
        (answer("boat", -4), "Answer 0 is not in its context at `answer_start`=-4"),
        (answer("boat", 400), "Answer 0 is not in its context.*there ''"),
        (answer("boat", 4.0), "at integers.*'boat' at 4.0"),
        (answer(" ", 3), "not empty.*' ' at 3"),
        (answer(None, 3), "not empty.*None"),
        ([{"text": "boat", "answer_start": [4]}], "Answer 0 must have lists.*Received"),
        ([{"text": ["boat"], "answer_start": 4}], "Answer 0 must have lists.*Received"),
        ([{"text": ["boat"], "answer_start": []}], "`answer_start` for every text"),
        ([{"text": ["boat"]}], "Answer 0 must be None or a dict"),
        (["boat"], "Answer 0 must be None or a dict.*'boat'"),
        ([None, None], "one answer per question.*2 answers for 1 questions"),
        ([], "0 answers for 1 questions"),
    ],
)
def test_bad_answers(preprocessor, answers, message):
    _, windows = preprocessor.windows((["who"], ["the boat"]))
    with pytest.raises(ValueError, match=message):
        preprocessor.labels(windows, answers)


@pytest.mark.parametrize(
    "x, error, message",
    [
        ((["who"], [""]), ValueError, "Contexts has an empty text in row 0"),
        ((["who", " "], ["a b", "a"]), ValueError, "Questions has an empty text in row 1"),
        ((["who"], ["\u200b"]), ValueError, "makes no token of the context of row 0"),
        ((["who"], ["a", "b"]), ValueError, "1 questions and 2 contexts"),
        (["who"], ValueError, "pair .tuple. of two lists.*list"),
        ((["who"],), ValueError, "pair .tuple. of two lists.*1 elements"),
        (("who", "a"), TypeError, "Questions must be a list.*'who'"),
        ((["who"], [1]), TypeError, "must be a string. Received: 1"),
        (([], []), ValueError, "no texts"),
    ],
)
def test_bad_texts(preprocessor, x, error, message):
    with pytest.raises(error, match=message):
        preprocessor(x)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(stride=0), "`stride` must be an integer of at least 1.*stride=0"),
        (dict(stride=2.5), "`stride` must be an integer"),
        (dict(max_question_length=-1), "`max_question_length` must be an integer"),
        (dict(stride=20), "windows 20 apart would leave gaps"),
        (dict(max_question_length=20), "would leave gaps.*Received: sequence_length=24"),
    ],
)
def test_bad_settings(tokenizer, settings, message):
    with pytest.raises(ValueError, match=message):
        SpanPreprocessor(tokenizer, LENGTH, **settings)


def test_presets(preprocessor, tokenizer, tmp_path):
    directory = str(tmp_path / "preset")
    preprocessor.save_to_preset(directory)
    again = SpanPreprocessor.from_preset(directory)
    assert (
        again.settings()
        == preprocessor.settings()
        == {
            "sequence_length": LENGTH,
            "max_question_length": 8,
            "stride": 5,
        }
    )
    TextPreprocessor(tokenizer, 48).save_to_preset(directory)
    other = SpanPreprocessor.from_preset(directory)  # the settings of another class
    assert (other.sequence_length, other.stride) == (48, 12)
    assert SpanPreprocessor.from_preset(directory, sequence_length=24).stride == 6
    config = keras.saving.serialize_keras_object(preprocessor)
    assert keras.saving.deserialize_keras_object(config).settings() == preprocessor.settings()


def layouts(wordpiece, byte_level):
    """Tokenizers of BERT's, RoBERTa's and GPT's layout, and where "no answer" is in their rows."""
    plain = SubwordTokenizer(byte_level.model, {"eos": "</s>"}, layout="gpt")
    return [(wordpiece, 1, 1, 0), (byte_level, 1, 2, 0), (plain, 0, 0, None)]


def test_other_layouts_have_the_question_first(wordpiece, byte_level):
    for tokenizer, before, between, no_answer in layouts(wordpiece, byte_level):
        preprocessor = SpanPreprocessor(tokenizer, 32, max_question_length=8, stride=5)
        out, (window,) = preprocessor.windows((["who"], ["the boat"]))
        question, context = tokenizer.encode(["who", "the boat"])
        row, _ = tokenizer.layout.lay_out(tokenizer, question, context)
        assert out["token_ids"][0, : len(row)].tolist() == row
        first = before + len(question) + between
        assert window.first == first and row[first : first + len(context)] == context
        # Without special tokens the last token of the question stands for "no answer".
        assert window.no_answer == (first - 1 if no_answer is None else no_answer)
        allowed = [window.no_answer, *range(first, first + len(context))]
        assert out["answer_mask"][0].nonzero()[0].tolist() == allowed


def test_windows_and_labels_of_other_layouts(wordpiece, byte_level, many):
    questions, contexts, answers = many
    for tokenizer, _, _, _ in layouts(wordpiece, byte_level):
        preprocessor = SpanPreprocessor(tokenizer, 48, max_question_length=12, stride=9)
        out, windows = preprocessor.windows((questions, contexts))
        labels = preprocessor.labels(windows, answers)
        rows = np.arange(len(windows))
        for name in ("start", "end"):
            assert out["answer_mask"][rows, labels[name]].all()
        found = set()
        for row, window in enumerate(windows):
            ids, _ = tokenizer.encode_with_offsets(window.context)
            tokens = slice(window.first, window.first + window.end - window.start)
            assert out["token_ids"][row, tokens].tolist() == list(ids[window.start : window.end])
            if labels["impossible"][row]:
                assert labels["start"][row] == labels["end"][row] == window.no_answer
                continue
            place = window.start + labels["start"][row] - window.first
            begin = answers[window.example]["answer_start"][0]
            assert window.offsets[place, 0] <= begin + 1 and labels["start"][row] >= window.first
            found.add(window.example)
        assert len(found) > 20
