"""text_records.py: texts in tables and JSON, piece by piece, and clear errors."""

import csv
import gzip
import io
import json
import tracemalloc

import pytest

from keras_plm.data.corpus import text_lines
from keras_plm.data.corpus.text_files import read_documents
from keras_plm.data.corpus.text_lines import LONGEST_RECORD

TEXTS = ['He said "no", and\nleft;\tat once.', "東京 é", " ", "two\n\nparts", "x" * 200_000]
RECORDS = [{"id": number, "body": text} for number, text in enumerate(TEXTS)]


def table(dialect):
    """What Python's own writer makes of the records."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["id", "body"], dialect=dialect)
    writer.writeheader()
    writer.writerows(RECORDS)
    return file.getvalue()


FORMATS = {
    "a.jsonl": "\n\n".join(map(json.dumps, RECORDS)),
    "strings.ndjson": "\n".join(map(json.dumps, TEXTS)),
    "a.NDJSON": "\r\n".join(json.dumps(one, ensure_ascii=False) for one in RECORDS),
    "array.json": json.dumps(RECORDS, indent=2),
    "tight.json": json.dumps(RECORDS, separators=(",", ":")),
    "strings.json": json.dumps(TEXTS),
    "one after the other.json": "\n".join(json.dumps(one, indent=1) for one in RECORDS),
    "column.json": json.dumps({"body": TEXTS, "id": [0, 1, 2, 3, 4]}),
    "a.csv": table("excel"),
    "unix.CSV": table("unix"),
    "a.tsv": table("excel-tab"),
}


def texts(path, text_field="body"):
    documents = list(read_documents([path], text_field))
    assert all(ends for _, ends in documents)
    return [text for text, _ in documents]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_formats(tmp_path, name, pack, block, monkeypatch):
    monkeypatch.setattr(text_lines, "BLOCK", block)
    path = tmp_path / (name if pack is bytes else f"{name}.gz")
    path.write_bytes(pack(FORMATS[name].encode()))
    limit = csv.field_size_limit()
    assert texts(path) == TEXTS
    assert csv.field_size_limit() == limit


JSON_ERRORS = {
    '{"text": 1}': "must be a string, or have .* under 'text'.*Received: int 1",
    '{"other": "a", "id": 2}': r"`text_field`. Received: the fields \['other', 'id'\]",
    '{"text": ["a", null]}': "Received: NoneType",
    '{"text": {"en": "a"}}': "Received: dict",
    '{"data": [{"text": "a"}]}': r"Received: the fields \['data'\]",
    "[1]": "Received: (list|int)",
    "7": "Received: int 7",
    '{"text": ': "is not valid JSON: ",
    '{"text": "a"}}': "is not valid JSON: ",
    '{"text": "a" "b"}': "is not valid JSON: ",
    '{"text": "\\ud800"}': "holds half a surrogate pair",
    '{"text": ' + "[" * 100_000: "is not valid JSON: ",
    '{"text": ' + "1" * 5_000 + "}": "is not valid JSON: ",
}


@pytest.mark.parametrize("value", JSON_ERRORS, ids=lambda value: value[:30])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "array.json"])
def test_bad_json_is_placed(tmp_path, value, name):
    path = tmp_path / name
    before, after = ('[\n"good",\n', "]") if name == "array.json" else ('"one"\n\n', "")
    path.write_text(f"{before}{value}{after}")
    with pytest.raises(ValueError, match=rf"{name}, line 3 .*{JSON_ERRORS[value]}"):
        texts(path, "text")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["a"', "line 1 is not valid JSON: ',' expected, '' found"),
        ('["a"\n"b"]', "line 2 is not valid JSON: ',' expected, '\"' found"),
        ('["a",]', "line 1 is not valid JSON"),
        ('["a"]\n\n["b"]', "line 3 is not valid JSON: more text"),
        ("[", "line 1 is not valid JSON"),
        ('"a"\nb', "line 2 is not valid JSON"),
    ],
)
def test_bad_json_arrays(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"a.json, {message}"):
        texts(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,a\n", r"must name one column 'body' .*Received: the columns \['id', 'text'\]"),
        (
            "body,body\na,b\n",
            r"must name one column 'body'.*Received: the columns \['body', 'body'\]",
        ),
        ("\n\n", r"must name one column.*Received: the columns \[\]"),
        ("id;body\n1;a\n", r"must name one column.*Received: the columns \['id;body'\]"),
        ("id,body\n1,a\n\n2,b, and c\n", "line 4 must have 2 fields.*Received: 3 fields"),
        ("id,body\n1,a\n2\n", "line 3 must have 2 fields.*Received: 1 fields"),
        ('id,body\n1,"a\nb"\n2,"never closed\n3,c\n', "line 4 begins a row that is no row"),
        ('id,body\n1,"a" b\n', "line 2 begins a row that is no row of a table: .*twice"),
    ],
)
def test_bad_tables(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"a.csv,? {message}"):
        texts(path)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_records_that_do_not_end_are_refused(tmp_path, name, monkeypatch):
    monkeypatch.setattr(text_lines, "LONGEST_RECORD", 5_000)
    monkeypatch.setattr(text_lines, "BLOCK", 100)
    path = tmp_path / name
    line_end = "" if name == "a.jsonl" else "\n"
    path.write_text('body\n"' + f"much more{line_end}" * 2_000)
    if name != "a.csv":
        path.write_text('"good"\n["' + f"much more{' ' if line_end else ''}" * 2_000)
    with pytest.raises(ValueError, match=f"{name}, line 2 must be at most 5,000 characters long"):
        texts(path)
    assert LONGEST_RECORD == 50_000_000


def test_memory_of_a_large_array(tmp_path):
    path, text = tmp_path / "large.json", "some words " * 1_000
    with path.open("w") as file:
        file.write("[")
        file.writelines(f"{json.dumps({'body': text})},\n" for _ in range(2_000))
        file.write(json.dumps({"body": "last"}) + "]")
    tracemalloc.start()
    found = last = 0
    for last, _ in read_documents([path], "body"):
        found += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 20_000_000 and peak < 10_000_000
    assert found == 2_001 and last == "last"
