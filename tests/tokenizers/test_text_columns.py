import numpy as np
import pytest

from keras_plm.tokenizers.text_columns import column_items, is_column, text_list

TEXTS = ["a boat", "a fish"]


class Column:
    """A column as `datasets` has them: a length and items by number, no shape."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, number):
        return self.items[number]


class Table:
    """A table as `datasets` and Arrow have them; pandas and Polars say `columns`."""

    def __init__(self, attribute, **columns):
        setattr(self, attribute, list(columns))
        self.data = columns

    def __getitem__(self, name):
        return Column(self.data[name])


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        iter,
        np.array,
        Column,
        lambda texts: np.array(texts, object),
        lambda texts: [text.encode() for text in texts],
        lambda texts: dict.fromkeys(texts, 0).values() and {1: texts[0], 2: texts[1]}.values(),
        lambda texts: Table("columns", text=texts),
        lambda texts: Table("column_names", text=texts),
    ],
)
def test_one_dimension_of_strings(make):
    assert text_list(make(TEXTS)) == TEXTS


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_columns_and_tables_of_libraries(library):
    module = pytest.importorskip(library)
    if library == "pandas":
        table = module.DataFrame({"text": TEXTS, "label": [0, 1]}, index=[7, 3])
        one, missing = table[["text"]], module.Series(["a", None])
        column = table["text"]
    else:
        table = module.table({"text": TEXTS, "label": [0, 1]})
        one, missing, column = table.select(["text"]), module.array(["a", None]), table["text"]
    assert text_list(column) == text_list(one) == TEXTS
    assert column_items(table["label"]) == [0, 1]
    with pytest.raises(TypeError, match=r"Choose one, such as table\['text'\].*'text', 'label'"):
        text_list(table)
    with pytest.raises(TypeError, match="Every text must be a string.*in row 1"):
        text_list(missing)


@pytest.mark.parametrize(
    "given, message",
    [
        ("a boat", "Received one text: 'a boat'"),
        (b"a boat", "Received bytes: b'a boat'"),
        (bytearray(b"a"), "Received bytes"),
        ({"token_ids": [1]}, r"not a dict.*keys \['token_ids'\]"),
        ({"a", "b"}, "set has no order.*Received: set of 2 items"),
        ({"a": 1}.keys(), "set has no order"),
        (Table("columns", text=TEXTS, label=[0, 1]), r"columns \['text', 'label'\]"),
        (Table("column_names"), "without columns"),
        (np.array([TEXTS]), r"one dimension.*Received: ndarray of shape \(1, 2\)"),
        (np.array("a"), r"of shape \(\)"),
        (3, "must be a list of texts. Received: 3"),
        (["a", 3], "must be a string. Received: 3, in row 1"),
        (["a", ["b"]], r"Received: \['b'\], in row 1"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(TypeError, match=message):
        text_list(given, allow_empty=True)


@pytest.mark.parametrize(
    "given, message",
    [
        ([], "no texts"),
        (["a", " "], "empty text in row 1"),
        ([b"\xff"], "must be UTF-8"),
    ],
)
def test_lists_without_texts(given, message):
    with pytest.raises(ValueError, match=message):
        text_list(given)


def test_columns_are_told_from_datasets():
    assert is_column(Column(TEXTS)) and is_column(Table("columns", text=TEXTS))
    assert is_column(Column([b"a"]))
    batches = Column([({"token_ids": [[1]]}, [0])])  # as a `PyDataset`
    assert not is_column(batches) and not is_column(Column([])) and not is_column(iter(TEXTS))
    assert not is_column({"token_ids": [[1]]})
    parts = Table("column_names", train=TEXTS)  # as a `DatasetDict`, which has columns by part
    parts.column_names = {"train": ["text"]}
    assert not is_column(parts)
    with pytest.raises(TypeError, match="must be a list of texts"):
        text_list(parts)
