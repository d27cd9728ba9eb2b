"""What the weights of GPT-1 and GPT-2 are called in transformers, and GPT-2's at OpenAI."""

from keras_plm.presets.transformer_weights import (
    CONV1D,
    DENSE,
    OPENAI,
    part_rows,
    transformer_rows,
)

BLOCK = {
    "block_{layer}/attention/query": "transformer.h.{layer}.attn.c_attn",
    "block_{layer}/attention/key": "transformer.h.{layer}.attn.c_attn",
    "block_{layer}/attention/value": "transformer.h.{layer}.attn.c_attn",
    "block_{layer}/attention/attention_output": "transformer.h.{layer}.attn.c_proj",
    "block_{layer}/attention_norm": "transformer.h.{layer}.ln_1",
    "block_{layer}/intermediate": "transformer.h.{layer}.mlp.c_fc",
    "block_{layer}/feedforward_output": "transformer.h.{layer}.mlp.c_proj",
    "block_{layer}/feedforward_norm": "transformer.h.{layer}.ln_2",
}
GPT_NAMES = {
    "token_embedding": "transformer.tokens_embed",
    "position_embedding": "transformer.positions_embed",
    **BLOCK,
}
GPT2_NAMES = {
    "token_embedding": "transformer.wte",
    "position_embedding": "transformer.wpe",
    **BLOCK,
    "final_norm": "transformer.ln_f",
}


def _openai(name):
    """OpenAI's name of a part, which Hugging Face's was made from."""
    return name.replace("transformer.", "model/").replace("h.{layer}", "h{layer}").replace(".", "/")


gpt_rows = transformer_rows(GPT_NAMES, CONV1D)
gpt2_rows = transformer_rows(
    GPT2_NAMES, CONV1D, {part: _openai(name) for part, name in GPT2_NAMES.items()}, OPENAI
)
NO_WEIGHTS = ((),)  # one table without a line: the head has the embedding and nothing else
SCORE = part_rows("logits", {"kernel": "IO"}, "score")
GPT_HEADS = {
    "tokens": NO_WEIGHTS,
    "label": SCORE,
    "score": SCORE,
    "choice": part_rows("logits", DENSE, "multiple_choice_head.summary"),
}
GPT2_HEADS = {
    **GPT_HEADS,
    "token_label": part_rows("logits", DENSE, "classifier"),
    "span": part_rows("logits", DENSE, "qa_outputs"),
}
GPT_COPIES = {"tokens": {"lm_head.weight": "transformer.tokens_embed.weight"}}
GPT2_COPIES = {"tokens": {"lm_head.weight": "transformer.wte.weight"}}
