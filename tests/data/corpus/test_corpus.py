"""corpus.py: text on disk as ids with bounds, whole or not there, split by document."""

import gzip
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from keras_plm.data import Corpus, Texts, examples, train_tokenizer
from keras_plm.data.corpus import corpus_files, corpus_parts, corpus_writing, text_files
from keras_plm.data.corpus.sentences import split_sentences
from keras_plm.objectives import PermutationModeling

BOTCHAN = Path(__file__).parents[2] / "fixtures" / "botchan.txt"
FILES = ["corpus.json", "document_offsets.npy", "sentence_offsets.npy", "token_ids.npy"]
FILES += ["word_starts.npy"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(BOTCHAN, vocabulary_size=500)


@pytest.fixture(scope="module")
def corpus(tokenizer, tmp_path_factory):
    return Corpus.build(BOTCHAN, tokenizer, tmp_path_factory.mktemp("corpus") / "botchan")


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_the_arrays_are_the_text(corpus, tokenizer):
    documents = BOTCHAN.read_text("utf-8").split("\n\n")
    assert corpus.num_documents == len(documents) == 17
    assert corpus.documents.tolist() == list(range(17))
    assert corpus.token_ids.dtype == "uint16" and corpus.word_starts.dtype == bool
    sentence = 0
    for index, document in enumerate(documents):
        for text in split_sentences(document):
            begin, end = corpus.sentence_offsets[sentence : sentence + 2]
            assert corpus.token_ids[begin:end].tolist() == tokenizer.encode(text)
            sentence += 1
        assert corpus.document_offsets[index + 1] == end
    assert corpus.num_sentences == sentence == len(corpus.sentence_offsets) - 1
    assert corpus.num_tokens == end == len(corpus.token_ids)
    assert np.array_equal(corpus.word_starts, tokenizer.word_starts[corpus.token_ids])
    assert not set(range(1, 8)) & set(corpus.token_ids.tolist())


def test_facts_about_the_tokenizer(corpus, tokenizer):
    assert corpus.vocabulary_size == 500
    assert corpus.special_token_ids == tokenizer.special_token_ids
    assert corpus.layout == "xlnet" and corpus.span_marks is None
    corpus.check_tokenizer(tokenizer)
    other = train_tokenizer(BOTCHAN, vocabulary_size=400)
    with pytest.raises(ValueError, match="built with another tokenizer.*Received"):
        corpus.check_tokenizer(other)


def test_the_files_are_the_same_for_any_number_of_workers_and_batches(
    corpus, tokenizer, tmp_path, monkeypatch
):
    expected = contents(corpus.directory)
    assert sorted(expected) == FILES
    for num_workers in (1, 3):
        Corpus.build(BOTCHAN, tokenizer, tmp_path / "same", num_workers=num_workers)
        assert contents(tmp_path / "same") == expected
    monkeypatch.setattr(corpus_parts, "BATCH_CHARACTERS", 5_000)
    Corpus.build(str(BOTCHAN), tokenizer, str(tmp_path / "same"))
    assert contents(tmp_path / "same") == expected
    monkeypatch.setattr(text_files, "LONGEST_PART", 100)  # parts end with lines
    by_line = [
        contents(Corpus.build(BOTCHAN, tokenizer, tmp_path / "x", split_sentences=None).directory)
    ]
    monkeypatch.undo()
    Corpus.build(BOTCHAN, tokenizer, tmp_path / "x", split_sentences=None)
    assert by_line == [contents(tmp_path / "x")]


def test_one_sentence_per_line_and_json_lines(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text("One. Two.\nthree\n\n\n \n\nfour\n")
    (tmp_path / "b.jsonl").write_text('{"body": "five\\n\\nsix"}\n{"body": " "}\n{"body": "x"}')
    corpus = Corpus.build(
        tmp_path, tokenizer, tmp_path / "corpus", text_field="body", split_sentences=None
    )
    assert corpus.num_documents == 4 and corpus.num_sentences == 6
    sentences = np.split(corpus.token_ids, corpus.sentence_offsets[1:-1])
    decoded = [tokenizer.decode(ids) for ids in sentences]
    assert decoded == ["One. Two.", "three", "four", "five", "six", "x"]
    assert np.searchsorted(corpus.sentence_offsets, corpus.document_offsets).tolist() == [
        0,
        2,
        3,
        5,
        6,
    ]


SENTENCES = ["the old man looked at his watch", "he went out, and the rain fell", "a foul night"]
SAME_TEXTS = {  # the three documents, as files of a folder or as what is handed over
    "a.txt": "\r\r".join(SENTENCES),
    "below/A.TXT": "\n\n".join(SENTENCES),
    "a.jsonl": "\n".join(json.dumps({"text": one}) for one in SENTENCES),
    "a.json": json.dumps(SENTENCES),
    "a.csv": "id,text\n" + "".join(f'{len(one)},"{one}"\n' for one in SENTENCES),
    "a.tsv.gz": "text\n" + "\n".join(SENTENCES),
    "a list": SENTENCES,
    "a generator": (one for one in SENTENCES),
    "records": [{"text": one} for one in SENTENCES],
}


@pytest.mark.parametrize("name", SAME_TEXTS)
def test_the_same_texts_make_the_same_corpus_and_tokenizer(name, tokenizer, tmp_path):
    given = SAME_TEXTS[name]
    if isinstance(given, str):
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(given.encode()) if name.endswith("gz") else given.encode())
        given = tmp_path / "texts"
    one_corpus = Corpus.build(given, tokenizer, tmp_path / "corpus")
    sentences = np.split(one_corpus.token_ids, one_corpus.document_offsets[1:-1])
    assert [ids.tolist() for ids in sentences] == tokenizer.encode(SENTENCES)
    if name == "a generator":
        with pytest.raises(ValueError, match="No text file was given"):
            Corpus.build(given, tokenizer, tmp_path / "again")
        given = iter(SENTENCES)
    expected = train_tokenizer(SENTENCES, 280, model="bpe")
    assert train_tokenizer(given, 280, model="bpe") == expected


def test_languages_of_texts_in_memory(subword_tokenizers, tmp_path):
    tokenizer = subword_tokenizers["xlm"]
    first, second = list(tokenizer.languages)[:2]
    texts = [Texts(["the", "man"]), Texts(iter(["la maison"]))]
    built = Corpus.build(texts, tokenizer, tmp_path / "x", languages=[first, second])
    ids = [tokenizer.languages[name] for name in (first, first, second)]
    assert built.sentence_languages.tolist() == ids


@pytest.mark.parametrize(("unknown", "said"), [(0, False), (1, False), (2, True), (99, True)])
def test_unknown_tokens_are_said(unknown, said, tmp_path, caplog):
    """One of a hundred is not more than 1 %."""
    tokenizer = train_tokenizer(BOTCHAN, 300, model="wordpiece", lowercase=True)
    texts = ["東 " * unknown + "a " * (100 - unknown)] * 3
    Corpus.build(texts, tokenizer, tmp_path / "corpus", num_workers=1)
    expected = (
        f"{3 * unknown} of 300 tokens ({unknown}.0 %) are unknown to the SubwordTokenizer of 300 "
        f"pieces with the fingerprint {tokenizer.fingerprint[:12]}...: it was made for other text."
    )
    assert [record.getMessage() for record in caplog.records] == [expected] * said


def test_split_is_by_document_and_repeatable(corpus):
    train, held_out = corpus.split(held_out=0.2, seed=3)
    assert held_out.num_documents == 3 and train.num_documents == 14
    both = np.concatenate([train.documents, held_out.documents])
    assert sorted(both) == list(range(17))
    assert np.all(np.diff(train.documents) > 0)
    assert train.num_tokens + held_out.num_tokens == corpus.num_tokens
    assert train.num_sentences + held_out.num_sentences == corpus.num_sentences
    assert train.token_ids is corpus.token_ids
    assert np.array_equal(corpus.split(0.2, seed=3)[1].documents, held_out.documents)
    assert not np.array_equal(corpus.split(0.2, seed=4)[1].documents, held_out.documents)
    one, other = (corpus.split(0.2, seed=None)[1].documents for _ in range(2))
    assert np.array_equal(one, other) and np.array_equal(one, corpus.split(0.2)[1].documents)
    with pytest.raises(ValueError, match="`seed` must be an integer of at least 0, or None"):
        corpus.split(0.2, seed=-1)
    assert corpus.split(0.001)[1].num_documents == 1
    assert corpus.split(0.999)[0].num_documents == 1
    inner = train.split(0.5)
    assert sorted(np.concatenate([part.documents for part in inner])) == train.documents.tolist()


def test_split_says_what_to_do(corpus, tokenizer, tmp_path):
    for held_out in (0, 1, -0.1, 5):
        with pytest.raises(ValueError, match=f"between 0 and 1. Received: held_out={held_out}"):
            corpus.split(held_out)
    (tmp_path / "one.txt").write_text("one document only")
    single = Corpus.build(tmp_path / "one.txt", tokenizer, tmp_path / "corpus")
    with pytest.raises(ValueError, match="at least 2 documents. Put blank lines"):
        single.split()


def test_unigram_entropy(corpus, tokenizer, tmp_path, monkeypatch):
    part = corpus.split(0.5)[0]
    bounds = corpus.document_offsets
    ids = np.concatenate([corpus.token_ids[bounds[d] : bounds[d + 1]] for d in part.documents])
    share = np.bincount(ids) / len(ids)
    expected = -np.sum(share[share > 0] * np.log(share[share > 0]))
    monkeypatch.setattr("keras_plm.data.corpus.corpus.CHUNK", 1_000)
    assert part.unigram_entropy() == pytest.approx(expected)
    (tmp_path / "a.txt").write_text("the the the")
    same = Corpus.build(tmp_path / "a.txt", tokenizer, tmp_path / "corpus")
    assert len(set(same.token_ids)) == 1 and same.unigram_entropy() == 0


def without_digests(directory):
    """Make a corpus as it was before there were digests."""
    info = json.loads((directory / "corpus.json").read_text())
    del info["sha256"]
    (directory / "corpus.json").write_text(json.dumps(info))


def test_any_bit_of_the_arrays(corpus, tmp_path):
    """20 places of each array: those that pass every other check are refused by the digest."""
    copy = shutil.copytree(corpus.directory, tmp_path / "copy")
    messages = []
    for path in sorted(copy.glob("*.npy")):
        content = path.read_bytes()
        for place in np.linspace(128, len(content) - 1, 20).astype(int):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(ValueError) as error:
                Corpus.open(copy)
            messages.append(str(error.value))
        path.write_bytes(content)
    assert len(messages) >= 80 and sum("SHA-256" in one for one in messages) > 20
    assert Corpus.open(copy).fingerprint == corpus.fingerprint


def test_a_corpus_without_digests(corpus, tmp_path, caplog):
    copy = shutil.copytree(corpus.directory, tmp_path / "copy")
    Corpus.open(copy)
    assert not caplog.records
    without_digests(copy)
    assert Corpus.open(copy).fingerprint == corpus.fingerprint
    assert caplog.text.count("has no digests") == 1
    info = json.loads((copy / "corpus.json").read_text())
    (copy / "corpus.json").write_text(json.dumps({**info, "sha256": "abc"}))
    with pytest.raises(ValueError, match="sha256 must be by array. Received: 'abc'"):
        Corpus.open(copy)


def test_fingerprint(corpus, tokenizer, tmp_path):
    """The same text in another place is the same corpus; a part, a token or a bound more is not."""
    copy = shutil.copytree(corpus.directory, tmp_path / "copy")
    assert Corpus.open(copy).fingerprint == corpus.fingerprint
    found = {corpus.fingerprint} | {part.fingerprint for part in corpus.split(0.5)}
    for name, place in [("token_ids", 0), ("sentence_offsets", 1)]:
        changed = shutil.copytree(corpus.directory, tmp_path / name)
        array = np.load(changed / f"{name}.npy", allow_pickle=False)
        array[place] += 1
        np.save(changed / f"{name}.npy", array)
        with pytest.raises(ValueError, match=rf"damaged: \['{name}'\] are not what was built"):
            Corpus.open(changed)
        without_digests(changed)
        found.add(Corpus.open(changed).fingerprint)
    assert len(found) == 5


def test_pickled_parts_open_the_directory_again(corpus):
    part = corpus.split(0.3)[1]
    data = pickle.dumps(part)
    assert len(data) < 2_000
    copy = pickle.loads(data)
    assert np.array_equal(copy.documents, part.documents) and copy.num_tokens == part.num_tokens
    assert isinstance(copy.token_ids, np.memmap)


def test_bad_text_leaves_nothing_behind(tokenizer, tmp_path):
    directory, path = tmp_path / "corpus", tmp_path / "text.txt"
    cases = [
        (b"", ValueError, "text.txt is empty"),
        (b" \n\n\t\n", ValueError, "no text to tokenise"),
        (b"fine\n\ncaf\xe9\n", ValueError, "text.txt is not UTF-8 at byte 9"),
    ]
    for content, error, message in cases:
        path.write_bytes(content)
        with pytest.raises(error, match=message):
            Corpus.build(path, tokenizer, directory)
    with pytest.raises(FileNotFoundError, match="missing"):
        Corpus.build([tmp_path / "missing"], tokenizer, directory)
    with pytest.raises(ValueError, match="num_workers"):
        Corpus.build(path, tokenizer, directory, num_workers=0)
    assert os.listdir(tmp_path) == ["text.txt"]


def test_a_full_disk_leaves_the_old_corpus(tokenizer, tmp_path, monkeypatch):
    directory = tmp_path / "corpus"
    Corpus.build(BOTCHAN, tokenizer, directory)
    old = contents(directory)

    def full(self, values):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(corpus_writing._ArrayWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        Corpus.build(BOTCHAN, tokenizer, directory)
    assert contents(directory) == old and os.listdir(tmp_path) == ["corpus"]


def test_what_is_no_corpus_is_neither_replaced_nor_opened(tokenizer, tmp_path):
    (tmp_path / "thesis").write_text("years of work")
    with pytest.raises(ValueError, match="not replaced"):
        Corpus.build(BOTCHAN, tokenizer, tmp_path)
    assert os.listdir(tmp_path) == ["thesis"]
    for path in (tmp_path, tmp_path / "missing", BOTCHAN):
        with pytest.raises(ValueError, match="no corpus"):
            Corpus.open(path)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_build_is_never_opened(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer")
    code = f"""
    import time
    from keras_plm.data import Corpus, SentencePieceTokenizer
    def stop(text):
        print("working", flush=True)
        time.sleep(60)
    tokenizer = SentencePieceTokenizer.load({str(tmp_path / "tokenizer")!r})
    Corpus.build({str(BOTCHAN)!r}, tokenizer, {str(tmp_path / "corpus")!r}, split_sentences=stop)
    """
    root = Path(corpus_files.__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, cwd=root
    )
    assert process.stdout.readline() == b"working\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with pytest.raises(ValueError, match="no corpus"):
        Corpus.open(tmp_path / "corpus")
    Corpus.build(BOTCHAN, tokenizer, tmp_path / "corpus")
    assert sorted(os.listdir(tmp_path)) == ["corpus", "tokenizer"]


def test_build_works_in_a_flat_script(tokenizer, tmp_path):
    """Without `if __name__ == "__main__"`, and with a function that cannot be pickled."""
    tokenizer.save(tmp_path / "tokenizer")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import json
        from keras_plm.data import Corpus, SentencePieceTokenizer
        tokenizer = SentencePieceTokenizer.load({str(tmp_path / "tokenizer")!r})
        corpus = Corpus.build({str(BOTCHAN)!r}, tokenizer, {str(tmp_path / "corpus")!r},
                              split_sentences=lambda text: [text], num_workers=2)
        print(json.dumps([corpus.num_documents, corpus.num_sentences]))
        """)
    )
    root = str(Path(corpus_files.__file__).parents[3])
    run = subprocess.run(
        [sys.executable, script], capture_output=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert json.loads(run.stdout) == [17, 17], run.stderr


def test_other_tokenizers(tmp_path, subword_tokenizers):
    path = tmp_path / "text.txt"
    path.write_text("The badger. Was angry, badgerish!\n\nDéjà vu 日本. the the\n", "utf-8")
    documents = path.read_text("utf-8").split("\n\n")
    sentences = [sentence for text in documents for sentence in split_sentences(text)]
    for name in ("bert_uncased", "gpt2", "gpt", "xlm"):
        tokenizer = subword_tokenizers[name]
        corpus = Corpus.build(path, tokenizer, tmp_path / name)
        assert corpus.num_documents == 2 and corpus.num_sentences == len(sentences) > 2
        corpus.check_tokenizer(tokenizer)
        assert tokenizer.keeps_spaces == (name == "gpt2")  # to it a document is running text
        texts = [text.strip() for text in documents] if name == "gpt2" else sentences
        rows = [tokenizer.encode(text) for text in texts]
        assert corpus.token_ids.tolist() == sum(rows, [])
        starts = [start for row in rows for start in tokenizer.starts_words(row)]
        assert corpus.word_starts.tolist() == starts and not all(starts)
        objective = PermutationModeling(
            sequence_length=16, reuse_length=8, num_predict=4, permutation_size=8
        )
        with pytest.raises(ValueError, match='no special tokens.*model="sentencepiece"'):
            examples(corpus, objective, batch_size=1)


def test_given_words_and_spans(tmp_path, subword_tokenizers):
    """Chinese that is segmented, or will be; word starts and span marks are those of the text."""
    tokenizer = subword_tokenizers["bert_uncased"]
    path, directory = tmp_path / "text.txt", tmp_path / "corpus"
    path.write_text("日本 the badger 日 本\n\n本日本。", "utf-8")
    corpus = Corpus.build(
        path, tokenizer, directory, split_words=str.split, find_spans=lambda text: [(0, 2)]
    )
    rows, offsets = tokenizer.encode_with_offsets(["日本 the badger 日 本", "本日本。"])
    begins = [row[:, 0].tolist() for row in offsets]
    assert corpus.token_ids.tolist() == sum(rows, []) and corpus.layout == "bert"
    starts = [begin in (0, 3, 7, 14, 16) for begin in begins[0]]
    starts += [begin == 0 for begin in begins[1]]
    repeated = [left == right for row in begins for left, right in zip([None] + row, row)]
    assert not any(repeated)
    assert corpus.word_starts.tolist() == starts
    assert corpus.span_marks.tolist() == [
        {0: 1, 1: 2}.get(begin, 0) for row in begins for begin in row
    ]
    part = pickle.loads(pickle.dumps(corpus.split(0.5)[0]))
    assert part.span_marks.tolist() == corpus.span_marks.tolist()
    again = Corpus.build(path, tokenizer, tmp_path / "words", split_words=str.split)
    assert again.span_marks is None and again.token_ids.tolist() == corpus.token_ids.tolist()
    plain = Corpus.build(path, tokenizer, tmp_path / "plain")
    assert plain.word_starts.sum() > again.word_starts.sum()


def test_bad_words_and_spans_leave_nothing_behind(tmp_path, tokenizer):
    path = tmp_path / "text.txt"
    path.write_text("One cat. Two cats.")
    cases = [
        (dict(split_words=lambda text: text.split()[:1]), "must cover the sentence.*'One cat.'"),
        (dict(find_spans=lambda text: [(4, 99)]), "lie within the sentence.*'One cat.'"),
        (dict(find_spans=lambda text: [(0, 3), (2, 5)]), "must not overlap.*'One cat.'"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            Corpus.build(path, tokenizer, tmp_path / "corpus", **arguments)
    assert os.listdir(tmp_path) == ["text.txt"]


def test_given_words_of_whitespace_are_those_of_the_tokenizer(tmp_path, tokenizer):
    """For a text without punctuation, whose words SentencePiece knows."""
    path = tmp_path / "text.txt"
    path.write_text("the cats went up there\nand so did we all")
    given = Corpus.build(path, tokenizer, tmp_path / "a", split_words=str.split)
    assert contents(Corpus.build(path, tokenizer, tmp_path / "b").directory) == contents(
        given.directory
    )


# === Languages and pairs ===


@pytest.fixture
def pair_files(tmp_path):
    """Files of text and of translations, by name."""
    texts = {
        "text.en": "The badger. Was angry!\n\nA mole.\n",
        "a.en": "The badger was angry.\na mole \n",
        "a.el": "mole the\nbadger",
        "b.en": "angry",
        "b.el": "was",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    return {name: tmp_path / name for name in texts}


def languages_of_documents(corpus):
    """The languages of the sentences of each document, as lists."""
    bounds = np.searchsorted(corpus.sentence_offsets, corpus.document_offsets)
    return [part.tolist() for part in np.split(corpus.sentence_languages, bounds[1:-1])]


def test_pairs_are_documents_of_two_sentences(pair_files, subword_tokenizers, tmp_path):
    tokenizer = subword_tokenizers["xlm"]  # en, el and zh are 0, 1 and 2
    corpus = Corpus.build_pairs(
        [pair_files["b.en"], pair_files["a.en"]],
        [pair_files["b.el"], pair_files["a.el"]],
        tokenizer,
        tmp_path / "corpus",
        languages=("en", "el"),
        num_workers=1,
    )
    assert corpus.languages == {"en": 0, "el": 1} and corpus.num_sentences == 6
    assert corpus.sentence_languages.dtype == np.int32
    assert languages_of_documents(corpus) == [[0, 1]] * 3
    sentences = np.split(corpus.token_ids, corpus.sentence_offsets[1:-1])
    texts = ["angry", "was", "The badger was angry.", "mole the", "a mole", "badger"]
    assert [ids.tolist() for ids in sentences] == [tokenizer.encode(text) for text in texts]
    assert "sentence_languages.npy" in contents(corpus.directory)
    part = pickle.loads(pickle.dumps(corpus.split(0.4)[1]))
    assert part.num_documents == 1 and part.languages == corpus.languages
    assert part.sentence_languages.tolist() == corpus.sentence_languages.tolist()
    plain = Corpus.build_pairs(
        pair_files["a.en"], pair_files["a.el"], tokenizer, tmp_path / "plain"
    )
    assert plain.languages == {} and plain.sentence_languages is None
    assert plain.num_documents == 2 and plain.num_sentences == 4


def test_text_and_pairs_in_one_corpus(pair_files, subword_tokenizers, tmp_path, monkeypatch):
    tokenizer = subword_tokenizers["xlm"]
    paths = [pair_files["text.en"], (pair_files["a.en"], pair_files["a.el"]), pair_files["b.el"]]
    languages = ["en", ("en", "el"), "el"]
    made = []
    for size in (4_000_000, 5):
        monkeypatch.setattr(corpus_parts, "BATCH_CHARACTERS", size)
        corpus = Corpus.build(paths, tokenizer, tmp_path / "corpus", languages=languages)
        assert languages_of_documents(corpus) == [[0, 0], [0], [0, 1], [0, 1], [1]]
        made.append(contents(corpus.directory))
    assert made[0] == made[1]


def test_bad_pairs_leave_nothing_behind(pair_files, subword_tokenizers, tmp_path):
    tokenizer, files = subword_tokenizers["xlm"], pair_files
    (tmp_path / "empty.el").write_text("mole\n \n")
    (tmp_path / "none.el").write_text("")
    (tmp_path / "latin.el").write_bytes(b"caf\xe9\nmole")
    before = sorted(os.listdir(tmp_path))
    cases = [
        (files["a.el"], dict(languages=("en", "en")), "two different languages"),
        (files["a.el"], dict(languages=("en", "fr")), "language must be one of .*'fr'"),
        (files["a.el"], dict(languages=("en", "zh")), "no spaces between words"),
        (files["b.el"], {}, "as many lines each.*2 lines in .*a.en, 1 in .*b.el"),
        (tmp_path / "none.el", {}, "as many lines each.*0 in .*none.el"),
        (tmp_path / "empty.el", {}, "an empty side in .*empty.el, line 2"),
        (tmp_path / "latin.el", {}, "latin.el is not UTF-8 at byte 3"),
        ([files["a.el"]] * 2, {}, "1 sources and 2 targets"),
    ]
    for targets, options, message in cases:
        with pytest.raises(ValueError, match=message):
            Corpus.build_pairs(files["a.en"], targets, tokenizer, tmp_path / "corpus", **options)
    with pytest.raises(FileNotFoundError, match="missing"):
        Corpus.build_pairs(files["a.en"], "missing", tokenizer, tmp_path / "corpus")
    with pytest.raises(ValueError, match=r"language must be one of \[\]. Received: language='en'"):
        Corpus.build(files["a.en"], subword_tokenizers["gpt2"], tmp_path / "c", languages=["en"])
    with pytest.raises(ValueError, match="one language per path.*for 1 paths"):
        Corpus.build(files["a.en"], tokenizer, tmp_path / "corpus", languages=["en", "el"])
    assert sorted(os.listdir(tmp_path)) == before
