"""Texts with named gaps: how a task is put to a language model that was not trained for it."""

import numbers
import string
from dataclasses import dataclass


@dataclass(frozen=True)
class PromptTemplate:
    """The text before an answer, and the answer, with gaps for the fields of an example.

    A gap is a name in braces; `{{` and `}}` are braces. Fields are put in as they are, once:
    braces in them are text. A gap can hold nothing but a name, so that no template can reach into
    a field as `{question.__class__}` or `{question[0]}` would.

    Args:
        prompt: str. What the model is given, such as "Q: {question}\\nA:". With GPT-2's tokenizer
            it should not end in a space, which is the first character of the answer's token.
        completion: str. What it should go on with, such as " {answer}".

    Raises:
        TypeError: if one of them is no string.
        ValueError: if a gap is not closed or holds more than a name, or one of them is empty.

    Example:
    ```python
    from keras_plm.transfer import PromptTemplate

    template = PromptTemplate("Q: {question}\\nA:", " {answer}")
    example = {"question": "What is 48 plus 76?", "answer": "124"}
    assert template.fill(example) == "Q: What is 48 plus 76?\\nA:"
    assert template.demonstrate(example) == "Q: What is 48 plus 76?\\nA: 124"
    ```

    Source: GPT-3, arXiv:2005.14165, figure 2.1 and appendix G.
    """

    prompt: str
    completion: str

    def __post_init__(self):
        for name in ("prompt", "completion"):
            text = getattr(self, name)
            if not isinstance(text, str):
                raise TypeError(f"`{name}` must be a string. Received: {name}={text!r:.80}.")
            if not text:
                raise ValueError(f"`{name}` must not be empty. Received: {name}=''.")
            _parts(text)

    @property
    def fields(self):
        """list of str: the names of all gaps, in their order, each once."""
        names = [name for _, name in _parts(self.prompt) + _parts(self.completion) if name]
        return list(dict.fromkeys(names))

    def fill(self, example):
        """The text before the answer of an example.

        Args:
            example: dict of str to str or number. Its fields; there may be more than gaps.

        Returns:
            str.

        Raises:
            TypeError: if a field is neither.
            ValueError: if a field is missing.
        """
        return _filled(self.prompt, example)

    def complete(self, example):
        """The answer of an example, as a continuation of `fill`.

        Args:
            example: dict, as for `fill`.

        Returns:
            str.

        Raises:
            TypeError, ValueError: as `fill`.
        """
        return _filled(self.completion, example)

    def demonstrate(self, example):
        """The whole of an example: the text and its answer.

        Args:
            example: dict, as for `fill`.

        Returns:
            str.

        Raises:
            TypeError, ValueError: as `fill`.
        """
        return self.fill(example) + self.complete(example)


def _parts(template):
    """Pairs of text and the name of the gap behind it, or None."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(
            f"A template must close its braces: {error}. Write {{{{ for a brace. "
            f"Received: {template!r:.200}."
        ) from None
    for _, name, style, conversion in parts:
        if name is not None and (not name.isidentifier() or style or conversion):
            raise ValueError(
                "Between braces there must be the name of a field and nothing else: no attribute, "
                f"index, format or conversion. Received: {template!r:.200}."
            )
    return [(text, name) for text, name, _, _ in parts]


def _filled(template, example):
    """The text with an example's fields in its gaps."""
    if not isinstance(example, dict):
        raise TypeError(f"An example must be a dict of fields. Received: {example!r:.80}.")
    written = []
    for text, name in _parts(template):
        written.append(text)
        if name is None:
            continue
        if name not in example:
            raise ValueError(
                f"The template asks for the field {name!r}. Received: {sorted(example)}."
            )
        value = example[name]
        if not isinstance(value, (str, numbers.Real)) or isinstance(value, bool):
            raise TypeError(
                f"The field {name!r} must be a string or a number. Received: {value!r:.80}."
            )
        written.append(str(value))
    return "".join(written)


# A question by itself: GPT-2 (Radford et al. 2019), section 3.8; GPT-3, appendix G.
QUESTION = PromptTemplate("Q: {question}\nA:", " {answer}")
# A passage and a question about it: GPT-2, section 3.5 (CoQA; earlier turns go into the passage).
READING = PromptTemplate("{passage}\n\nQ: {question}\nA:", " {answer}")
# An article and its summary: GPT-2, section 3.6.
SUMMARY = PromptTemplate("{article}\nTL;DR:", " {summary}")
# A sentence and its translation, examples of which come first: GPT-2, section 3.7.
TRANSLATION = PromptTemplate("{source} =", " {target}")
# The same, behind the words "Translate English to French:": GPT-3, figure 2.1.
TRANSLATION_ARROW = PromptTemplate("{source} =>", " {target}")
