"""Zero-, one- and few-shot prompts: a task told by a description and some examples."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_plm.checks import check_integer
from keras_plm.transfer.prompt_template import PromptTemplate


class FittedPrompt(NamedTuple):
    """A prompt that is short enough.

    Args:
        text: str.
        num_shots: int. How many of the examples are left in it.
    """

    text: str
    num_shots: int


@dataclass(frozen=True)
class FewShot:
    """Puts a question behind examples with their answers.

    With no examples that is zero-shot, with one one-shot: the weights of the model never change.

    Args:
        template: `PromptTemplate`.
        separator: str. What stands between two examples, and behind the instruction: GPT-3 takes
            one newline or two, by task.
        instruction: str or None. The description of the task, which comes first.

    Raises:
        TypeError: if an argument is of another type.

    Example:
    ```python
    from keras_plm.transfer import TRANSLATION_ARROW, FewShot

    pairs = [
        {"source": "sea otter", "target": "loutre de mer"},
        {"source": "plush giraffe", "target": "girafe peluche"},
        {"source": "cheese", "target": "fromage"},
    ]
    few_shot = FewShot(TRANSLATION_ARROW, "\\n", "Translate English to French:")
    print(few_shot.prompt(pairs[2], shots=pairs[:2]))
    # Translate English to French:
    # sea otter => loutre de mer
    # plush giraffe => girafe peluche
    # cheese =>
    ```

    Source: GPT-3, arXiv:2005.14165, section 2.1, figure 2.1 and section 2.4.
    """

    template: PromptTemplate
    separator: str = "\n\n"
    instruction: str | None = None

    def __post_init__(self):
        if not isinstance(self.template, PromptTemplate):
            raise TypeError(f"`template` must be a PromptTemplate. Received: {self.template!r:.80}")
        given = (self.separator, "" if self.instruction is None else self.instruction)
        if not all(isinstance(one, str) for one in given):
            raise TypeError(
                "`separator` must be a string, `instruction` a string or None. Received: "
                f"separator={self.separator!r:.80}, instruction={self.instruction!r:.80}."
            )

    def prompt(self, example, shots=()):
        """The prompt of an example, behind others.

        Args:
            example: dict of str to str or number. The example that is asked; of its fields only
                those before the answer are read.
            shots: list of dict. Examples with their answers, the first one first.

        Returns:
            str.

        Raises:
            TypeError, ValueError: as `PromptTemplate.fill`.
        """
        parts = [] if self.instruction is None else [self.instruction]
        parts += [self.template.demonstrate(shot) for shot in shots]
        return self.separator.join([*parts, self.template.fill(example)])

    def fit(self, example, shots, tokenizer, max_tokens):
        """The prompt with as many of the shots as there is room for: the first ones give way.

        Args:
            example: dict, as for `prompt`.
            shots: list of dict, as for `prompt`.
            tokenizer: `keras_plm.data.Tokenizer`, or what else has its `encode`.
            max_tokens: int. The tokens that the prompt may have. Of a model's positions leave
                those of the longest answer, and one for the token before each text, if it has one.

        Returns:
            `FittedPrompt`.

        Raises:
            ValueError: if the prompt is too long even without shots.
        """
        for dropped in range(len(shots) + 1):
            text = self.prompt(example, shots[dropped:])
            length = len(tokenizer.encode(text))
            if length <= max_tokens:
                return FittedPrompt(text, len(shots) - dropped)
        raise ValueError(
            f"Even without shots the prompt has {length} tokens. Shorten the example, or raise "
            f"`max_tokens`. Received: max_tokens={max_tokens!r}."
        )


def draw_shots(examples, count, seed=0, asked=None):
    """Draw the examples that stand before a question: each as likely, none twice.

    GPT-3 draws them anew for each question; the same arguments draw the same.

    Args:
        examples: list of N examples, those to learn from.
        count: int. How many are drawn, K.
        seed: int, or tuple of ints, such as (seed, number of the question).
        asked: int or None. The place of the question in `examples`, which is never drawn; the
            draw depends on it. None: it is not among them.

    Returns:
        list of K examples, in the order drawn.

    Raises:
        ValueError: if there are not enough examples, or `asked` is no place among them.

    Source: GPT-3, arXiv:2005.14165, section 2.4.
    """
    why = ", its place among the examples"
    check_integer("asked", asked, 0, len(examples) - 1, none=True, why=why)
    left = np.arange(len(examples))
    start = list(np.atleast_1d(seed))
    if asked is not None:
        left = np.delete(left, asked)
        start.append(asked)
    why = ", the examples that there are beside the one that is asked"
    check_integer("count", count, 0, len(left), why=why)
    drawn = np.random.default_rng(start).permutation(left)[:count]
    return [examples[index] for index in drawn]
