"""
Title: Zero-, one- and few-shot prompts
Description: What is asked? The examples in the prompt say it; no weight is changed.
Accelerator: none needed

Run it as it is, to train a tiny GPT-2 for some minutes, or with a GPT that is there:

    python examples/few_shot.py
    python examples/few_shot.py --preset gpt2_small --shots 0 1 8 32

Of a country ("Poland:") its capital, its currency or its language may be asked; the answer is
chosen among these three by its likelihood. Which of them is asked only the rest of the prompt can
say: lines about other countries ("Japan: Tokyo"), or a description ("Capitals:"). With neither,
nothing can be better than chance, 1/3.

The tiny model learns from lists of such lines, half of them behind a description. It has seen
every fact, but not the prompts: their countries are drawn anew.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, tasks, transfer

# === Settings ===

FACTS = """
Albania Tirana lek Albanian, Armenia Yerevan dram Armenian, Azerbaijan Baku manat Azerbaijani,
Bangladesh Dhaka taka Bengali, Brazil Brasilia real Portuguese, China Beijing yuan Chinese,
Czechia Prague koruna Czech, Denmark Copenhagen krone Danish, Georgia Tbilisi lari Georgian,
Hungary Budapest forint Hungarian, Iran Tehran rial Persian, Japan Tokyo yen Japanese,
Kazakhstan Astana tenge Kazakh, Laos Vientiane kip Lao, Mongolia Ulaanbaatar tugrik Mongolian,
Poland Warsaw zloty Polish, Romania Bucharest leu Romanian, Russia Moscow ruble Russian,
Sweden Stockholm krona Swedish, Thailand Bangkok baht Thai, Turkey Ankara lira Turkish,
Ukraine Kyiv hryvnia Ukrainian, Vietnam Hanoi dong Vietnamese
"""
RELATIONS = ("Capitals:", "Currencies:", "Languages:")
TEMPLATE = transfer.PromptTemplate("{country}:", " {answer}")
LISTS = 4_000  # that the tiny model learns from
LINES = (3, 9)  # of a list, at least and at most
LENGTH = 64  # tokens of a row
VOCABULARY = 500
NORMALIZATIONS = ("none", "tokens", "unconditional")

parser = argparse.ArgumentParser(description="Ask a GPT by examples in the prompt.")
parser.add_argument("--preset", metavar="DIR", help="a GPT; default: a tiny one is trained")
parser.add_argument("--shots", type=int, nargs="+", default=[0, 1, 2, 4, 8], metavar="K")
parser.add_argument("--draws", type=int, default=4, help="of other shots, for each question")
parser.add_argument("--limit", type=int, help="ask so many questions only")
parser.add_argument("--steps", type=int, default=800, help="of training the tiny model")
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--learning-rate", type=float, default=2e-3)
parser.add_argument("--output", type=Path, default=Path("output/few_shot"), metavar="DIR")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)
rng = np.random.default_rng(arguments.seed)
arguments.output.mkdir(parents=True, exist_ok=True)
begin = time.time()

countries, *columns = zip(*[fact.split() for fact in FACTS.replace("\n", " ").split(",")])
examples = {  # for each relation those of all countries
    relation: [
        {"country": country, "answer": answer} for country, answer in zip(countries, answers)
    ]
    for relation, answers in zip(RELATIONS, columns)
}

# === A tiny GPT-2 that learns from lists ===


def one_list(number):
    """Lines about one relation, every second time behind its description."""
    relation = RELATIONS[rng.integers(len(RELATIONS))]
    shots = transfer.draw_shots(
        examples[relation], int(rng.integers(*LINES, endpoint=True)), (arguments.seed, number)
    )
    lines = [TEMPLATE.demonstrate(shot) for shot in shots]
    return "\n".join([relation, *lines] if number % 2 else lines)


def whole(text):
    """A document as one sentence, with its ends of lines."""
    return [text]


preset = arguments.preset
if preset is None:
    path = arguments.output / "lists.jsonl"
    lists = [json.dumps({"text": one_list(number)}) for number in range(LISTS)]
    path.write_text("\n".join(lists) + "\n", encoding="utf-8")
    tokenizer = data.train_tokenizer([path], VOCABULARY, model="bpe", layout="gpt")
    corpus = data.Corpus.build(
        [path], tokenizer, arguments.output / "corpus", split_sentences=whole, num_workers=1
    )
    model = models.gpt2(
        tokenizer, "tiny", sequence_length=LENGTH, dropout=0.0, attention_dropout=0.0
    )
    schedule = transfer.WarmupPolynomialDecay(
        arguments.learning_rate, min(100, arguments.steps // 10), arguments.steps
    )
    model.compile(transfer.gpt3_optimizer(schedule))
    batches = data.examples(corpus, model.objective, arguments.batch_size, seed=arguments.seed)
    print(f"{len(lists):,} lists of {corpus.num_tokens:,} tokens, {arguments.steps} steps.")
    epochs = min(5, arguments.steps)
    model.fit(batches, steps_per_epoch=arguments.steps // epochs, epochs=epochs, verbose=2)
    preset = arguments.output / "preset"
    model.save_to_preset(preset)

model = tasks.CausalLM.from_preset(str(preset))
tokenizer = model.preprocessor.tokenizer

# === Questions ===

questions = [
    (relation, place, draw)
    for relation in RELATIONS
    for place in range(len(countries))
    for draw in range(arguments.draws)
]
chosen = rng.permutation(len(questions))[: arguments.limit]
questions = [questions[index] for index in sorted(chosen)]
answers = [[f" {column[place]}" for column in columns] for _, place, _ in questions]
right = np.array([RELATIONS.index(relation) for relation, _, _ in questions])
longest = max(len(tokenizer.encode(answer)) for own in answers for answer in own)
room = model.backbone.max_sequence_length - longest - 1  # and the token before each text


def ask(num_shots, described):
    """A prompt for each question, and how many shots were left at the least."""
    prompts, least = [], num_shots
    for relation, place, draw in questions:
        few_shot = transfer.FewShot(TEMPLATE, "\n", relation if described else None)
        seed = (arguments.seed, draw)
        shots = transfer.draw_shots(examples[relation], num_shots, seed, asked=place)
        prompt = few_shot.fit(examples[relation][place], shots, tokenizer, room)
        prompts.append(prompt.text)
        least = min(least, prompt.num_shots)
    return prompts, least


def accuracies(prompts):
    """The share of right answers, for each normalisation."""
    for normalize in NORMALIZATIONS:
        choices = model.choose(prompts, answers, normalize, batch_size=32, verbose=0)
        yield np.mean([one.index for one in choices] == right)


prompts, _ = ask(max(arguments.shots), described=True)
print(f"A prompt:\n{prompts[-1]}\nChoices: {answers[-1]}, right: {answers[-1][right[-1]]!r}.")
print(f"Accuracy on {len(questions)} questions (chance 0.333), scores normalised by:")
print(f"  {'':32s}" + "".join(f"{name:>15s}" for name in NORMALIZATIONS))
for described in (False, True):
    for num_shots in arguments.shots:
        prompts, least = ask(num_shots, described)
        what = f"{num_shots} shots{', description' if described else ''}"
        what += f" (at least {least} fit)" if least < num_shots else ""
        values = "".join(f"{value:15.3f}" for value in accuracies(prompts))
        print(f"  {what:32s}{values}")
print(f"Done in {time.time() - begin:.0f} s.")
