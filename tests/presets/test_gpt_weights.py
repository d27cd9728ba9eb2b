from keras_plm.presets.gpt_weights import GPT2_HEADS, GPT_HEADS, gpt2_rows, gpt_rows


def test_queries_keys_and_values_are_parts_of_one():
    for rows in (gpt_rows({}), gpt2_rows({"normalize_first": True})):
        kernels = [row for row in rows if row.ours.endswith(("query/kernel", "value/kernel"))]
        assert {row.hugging_face for row in kernels} == {"transformer.h.{layer}.attn.c_attn.weight"}
        assert [row.part for row in kernels] == [0, 2]
        assert {row.hugging_face_axes for row in kernels} == {"D(3HK)"}


def test_names_of_openai():
    names = {row.ours: row.tensorflow for row in gpt2_rows({"normalize_first": True})}
    assert names["token_embedding/embeddings"] == "model/wte"
    assert names["final_norm/gamma"] == "model/ln_f/g"
    assert names["block_{layer}/attention/key/bias"] == "model/h{layer}/attn/c_attn/b"
    assert names["block_{layer}/feedforward_output/kernel"] == "model/h{layer}/mlp/c_proj/w"


def test_the_language_model_has_no_weights_of_its_own():
    assert GPT_HEADS["tokens"] == GPT2_HEADS["tokens"] == ((),)
