"""What the tests catch: small mistakes in the package, each of which some test should notice.

    python tests/mutants.py [names] [--fast] [--jobs 2] [--control] [--list]

A mutant is one edit of one file of keras_plm, such as a programmer's slip: nothing breaks, but the
results are silently wrong. It dies if a test of the few files listed beside it fails, and lives if
all pass. `--fast` leaves out the tests marked slow; `--control` runs the listed files without any
mutant: all must live. pytest's own options go into PYTEST_ADDOPTS.

Keras and TensorFlow are imported once; each mutant has a forked process, which loads the one file
from an edited copy. keras_plm itself is not touched. What a test starts in a process of its own is
not mutated.

The exit code is 0 unless a mutant lived that is not in `SURVIVORS`, is stale (its old text is not
in the file exactly once), or could not be judged: the package with it does not import, a test
file cannot be collected, or it ran too long.
"""

import argparse
import gc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keras_plm"
LONGEST = 900  # seconds of one mutant
NOT_IMPORTED = 100  # an exit code that pytest has not


class Mutant(NamedTuple):
    """One mistake: where it is, and who should notice it.

    Args:
        name: str.
        file: str, relative to keras_plm.
        old: str, which stands exactly once in the file.
        new: str, what it becomes.
        tests: tuple of str: files relative to tests, or node ids, the likeliest killer first.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple

    @property
    def path(self):
        return PACKAGE / self.file

    @property
    def module(self):
        return ".".join(["keras_plm", *Path(self.file).with_suffix("").parts])


# Mutants that may live, and why.
SURVIVORS = {}

MUTANTS = (
    # === Several tasks ===
    Mutant(
        "san_reads_all_tokens_as_premise",
        "heads/san_head.py",
        "ops.logical_and(real, ops.equal(segments, n)) for n in (0, 1)",
        "ops.logical_and(real, ops.equal(segments, n) | (n == 0)) for n in (0, 1)",
        ("heads/test_san_head.py",),
    ),
    Mutant(
        "san_leaves_all_turns_out",
        "heads/san_head.py",
        "return ops.logical_or(always, draws[1] >= self.turn_dropout)",
        "return ops.logical_and(always | True, draws[1] >= self.turn_dropout)",
        ("heads/test_san_head.py",),
    ),
    Mutant(
        "log_probabilities_are_softmaxed_again",
        "heads/losses/negative_log_likelihood.py",
        'y_pred = ops.cast(y_pred, "float32")',
        'y_pred = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)',
        ("heads/test_san_head.py",),
    ),
    Mutant(
        "idle_heads_take_steps",
        "tasks/several/step_of_tasks.py",
        "is_open = ops.logical_or(group == number, group >= len(self.members))",
        "is_open = ops.logical_or(group >= 0, group >= len(self.members))",
        ("tasks/several/test_multi_task.py::test_an_idle_head_stands_still_whole",),
    ),
    Mutant(
        "what_fills_a_batch_up_counts",
        "tasks/feeding/mixed_batches.py",
        "real = np.arange(self.num_examples) < count",
        "real = np.arange(self.num_examples) < 2 * count",
        ("tasks/feeding/test_mixed_batches.py",),
    ),
    Mutant(
        "a_pass_over_a_task_begins_anew_in_every_epoch",
        "data/mixing.py",
        "self._before.append(self._before[-1] + counts)",
        "self._before.append(self._before[-1])",
        ("data/test_mixing.py",),
    ),
    Mutant(
        "the_soft_loss_is_left_out",
        "heads/losses/soft_label_loss.py",
        "return loss - ops.sum(soft * log_probs, axis=-1)",
        "return loss",
        ("heads/losses/test_soft_label_loss.py",),
    ),
    # === ULMFiT ===
    Mutant(
        "the_rate_is_not_scaled",
        "tasks/optimizers/scaled_rate.py",
        "return lambda: rate() * factor",
        "return lambda: rate() * 1.0",
        ("tasks/optimizers/test_scaled_rate.py",),
    ),
    Mutant(
        "a_step_has_the_rate_of_any_length",
        "tasks/pretrainer.py",
        "length / self.objective.sequence_length",
        "length / length",
        ("tasks/training/test_variable_lengths.py",),
    ),
    Mutant(
        "no_batch_is_half_as_long",
        "objectives/variable_lengths.py",
        "SHARE_OF_LONG, 1.0, 0.5)",
        "SHARE_OF_LONG, 1.0, 1.0)",
        ("objectives/test_variable_lengths.py",),
    ),
    Mutant(
        "batches_begin_as_if_all_were_equally_long",
        "data/rows/contiguous_rows.py",
        "begin = row * self.row_length + first",
        "begin = row * self.row_length + pass_step * self.sequence_length",
        ("data/rows/test_contiguous_rows.py",),
    ),
    Mutant(
        "documents_from_their_ends_begin_with_the_separator",
        "data/rows/stream.py",
        "offset = self._lengths[document] - 1 - offset",
        "offset = self._lengths[document] - offset",
        ("data/rows/test_contiguous_rows.py",),
    ),
    Mutant(
        "texts_are_never_turned",
        "preprocessing/text_preprocessor.py",
        "[one[::-1] for one in ids]",
        "[one[::1] for one in ids]",
        ("tasks/test_concat_pooling.py",),
    ),
    Mutant(
        "the_mean_forgets_what_was_read_before",
        "layers/pooling/long_text_pooling.py",
        "_gathered(rows, real[:, before:], largest, total)",
        "_gathered(rows, real[:, before:], largest, 0.0 * total)",
        ("layers/pooling/test_long_text_pooling.py",),
    ),
    Mutant(
        "padding_stays_at_the_right_of_long_texts",
        "layers/pooling/long_text_pooling.py",
        'place = place - ops.cast(behind, "int32")[:, None]',
        'place = place - 0 * ops.cast(behind, "int32")[:, None]',
        ("layers/pooling/test_long_text_pooling.py",),
    ),
    # === SiATL ===
    Mutant(
        "xla_drops_the_same_in_every_step",
        "ops/dropout_masks.py",
        'tf.bitcast(tf.cast(seed, "uint32"), "int32")',
        'tf.zeros(2, "int32")',
        ("ops/test_dropout_masks.py",),
    ),
    Mutant(
        "weights_are_truncated_once_only",
        "layers/initializer.py",
        "        while beyond.size:",
        "        if beyond.size:",
        ("layers/test_initializer.py",),
    ),
    Mutant(
        "initial_weights_have_no_mean",
        "layers/initializer.py",
        "self.mean + self.stddev * numbers",
        "self.stddev * numbers",
        ("layers/test_initializer.py",),
    ),
    Mutant(
        "cudnn_gets_a_mask_of_one_row",
        "ops/attention.py",
        "rows = ops.zeros_like(query[:1, :, :1, :1])  # (1, R, 1, 1)",
        "rows = ops.zeros_like(query[:1, :1, :1, :1])  # (1, R, 1, 1)",
        ("ops/test_fused_kernels.py",),
    ),
    Mutant(
        "a_mask_of_a_gpu_hides_nothing",
        "ops/attention.py",
        "bias = mask if bias is None else ops.cast(bias, query.dtype) + mask",
        "bias = mask if bias is None else ops.cast(bias, query.dtype)",
        ("ops/test_fused_kernels.py",),
    ),
    Mutant(
        "padding_has_a_share_of_the_attention",
        "layers/pooling/attention_pooling.py",
        "energies = ops.where(real[..., None], energies, HIDDEN)",
        "energies = energies * 1.0",
        ("layers/pooling/test_attention_pooling.py",),
    ),
    Mutant(
        "a_text_without_tokens_has_a_mean",
        "layers/pooling/attention_pooling.py",
        "rows = ops.where(real[..., None], rows, ops.zeros_like(rows))",
        "rows = rows * 1.0",
        ("layers/pooling/test_attention_pooling.py",),
    ),
    Mutant(
        "the_lstm_of_the_task_reads_padding",
        "layers/pooling/attention_pooling.py",
        "self.lstm(rows, padding_mask=real)",
        "self.lstm(rows, padding_mask=None)",
        ("layers/pooling/test_attention_pooling.py",),
    ),
    Mutant(
        "the_weight_of_the_auxiliary_loss_is_baked_in",
        "heads/losses/auxiliary_lm_loss.py",
        "ops.convert_to_tensor(self.current_weight) * extra",
        "self.weight * extra",
        ("transfer/test_auxiliary_loss_decay.py",),
    ),
    Mutant(
        "the_weight_falls_an_epoch_too_slowly",
        "transfer/auxiliary_loss_decay.py",
        "** (epoch / (self.epochs - 1))",
        "** (epoch / self.epochs)",
        ("transfer/test_auxiliary_loss_decay.py",),
    ),
    Mutant(
        "the_projection_is_in_the_group_of_the_embeddings",
        "backbones/awd_lstm.py",
        "grouped_weights(self, self.blocks, above)",
        "grouped_weights(self, self.blocks)",
        ("backbones/test_awd_lstm.py",),
    ),
    Mutant(
        "the_projection_of_padding_is_its_bias",
        "backbones/awd_lstm.py",
        "content * ops.cast(padding_mask, content.dtype)[..., None]",
        "content",
        ("backbones/test_awd_lstm.py",),
    ),
    # === recurrent layers ===
    Mutant(
        "padding_moves_the_state",
        "ops/recurrence.py",
        "new_hidden = ops.where(real[0] > 0, new_hidden, hidden)",
        "pass",
        ("ops/test_recurrence.py",),
    ),
    Mutant(
        "a_gradient_goes_through_a_clipped_cell",
        "ops/recurrence.py",
        "d_cell = _within(cell, clips[0]) * (d_cell",
        "d_cell = (d_cell",
        ("ops/test_recurrence.py",),
    ),
    Mutant(
        "the_gradient_of_the_matrix_is_of_the_state_behind_the_step",
        "ops/recurrence.py",
        'found["recurrent"] = _product(before[0], d_gates)',
        'found["recurrent"] = _product(hiddens, d_gates)',
        ("ops/test_recurrence.py",),
    ),
    Mutant(
        "layers_inside_of_a_frozen_one_are_trained",
        "layers/composite_layer.py",
        "layer.trainable = False",
        "pass",
        ("test_parts_contract.py::test_what_is_frozen_stays_so",),
    ),
    Mutant(
        "orthogonal_matrices_are_drawn_in_half_precision",
        "layers/initializer.py",
        'initializer(shape, dtype="float32")',
        "initializer(shape, dtype=dtype)",
        ("layers/recurrent/test_weight_drop_lstm.py",),
    ),
    Mutant(
        "the_weights_are_dropped_in_evaluation",
        "layers/recurrent/weight_drop_lstm.py",
        "self.weight_dropout(recurrent, training=training)",
        "self.weight_dropout(recurrent, training=True)",
        ("layers/recurrent/test_weight_drop_lstm.py",),
    ),
    Mutant(
        "tokens_are_dropped_and_not_words",
        "layers/recurrent/embedding_dropout.py",
        "rows * ops.take(words, token_ids, axis=0)",
        "self.dropout(rows, training=training)",
        ("layers/recurrent/test_embedding_dropout.py",),
    ),
    Mutant(
        "changes_at_padding_count",
        "layers/recurrent/activation_regularization.py",
        "real[:, 1:] * real[:, :-1]",
        "real[:, 1:]",
        ("layers/recurrent/test_activation_regularization.py",),
    ),
    Mutant(
        "regularisation_of_the_output_before_its_dropout",
        "backbones/awd_lstm.py",
        "self.regularization(content, raw, padding_mask)",
        "self.regularization(raw, raw, padding_mask)",
        ("backbones/test_awd_lstm_parity.py",),
    ),
    Mutant(
        "the_largest_of_padding_too",
        "layers/pooling/concat_pooling.py",
        "ops.max(ops.where(shown, rows, lowest), axis=1)",
        "ops.max(ops.where(shown, rows, zeros), axis=1)",
        ("layers/pooling/test_concat_pooling.py",),
    ),
    Mutant(
        "a_skip_at_the_first_layer",
        "backbones/elmo.py",
        "if self.skip_connections and index else rows",
        "if self.skip_connections else rows",
        ("backbones/test_elmo.py",),
    ),
    Mutant(
        "the_backward_stack_reads_left_to_right",
        "backbones/elmo.py",
        "back, back_real = _reversed(words), _reversed(real)",
        "back, back_real = words, real",
        ("backbones/test_elmo.py",),
    ),
    Mutant(
        "the_gate_lets_the_other_part_through",
        "layers/recurrent/character_cnn.py",
        "words = share * ops.relu(transform(words)) + (1 - share) * words",
        "words = (1 - share) * ops.relu(transform(words)) + share * words",
        ("layers/recurrent/test_character_cnn.py",),
    ),
    Mutant(
        "no_forget_bias",
        "checkpoints/families/elmo.py",
        "np.float32([0, 1, 0, 0])",
        "np.float32([0, 0, 0, 0])",
        ("checkpoints/families/test_elmo.py",),
    ),
    Mutant(
        "one_of_two_biases",
        "checkpoints/families/awd_lstm.py",
        'for one in ("ih", "hh"))',
        'for one in ("ih", "ih"))',
        ("checkpoints/families/test_awd_lstm.py",),
    ),
    Mutant(
        "padding_in_the_norm_over_the_batch",
        "layers/pooling/scalar_mix.py",
        "ops.sum(values * shown) / count",
        "ops.mean(values)",
        ("layers/pooling/test_scalar_mix.py",),
    ),
    # === static vectors ===
    Mutant(
        "a_row_of_one_column_is_a_header",
        "checkpoints/word_vector_records.py",
        "len(second.split()) > int(says[1])",
        "True",
        ("checkpoints/test_word_vectors.py",),
    ),
    Mutant(
        "words_with_spaces_lose_their_beginning",
        "checkpoints/word_vector_records.py",
        "fields = line.rsplit(None, width)",
        "fields = line.split()[-width - 1 :]",
        ("checkpoints/test_word_vectors.py",),
    ),
    Mutant(
        "the_last_vector_of_a_word_counts",
        "checkpoints/word_vectors.py",
        "        if word in self.words:\n            self.repeated += 1\n            return\n",
        "        if word in self.words:\n            self._rows.pop(0)\n",
        ("checkpoints/test_word_vectors.py",),
    ),
    Mutant(
        "a_file_that_was_cut_off_is_read",
        "checkpoints/word_vectors.py",
        "if count is not None and count != number and",
        "if count is not None and count < number and",
        ("checkpoints/test_word_vectors.py",),
    ),
    Mutant(
        "numbers_too_many_are_a_word",
        "checkpoints/word_vector_records.py",
        'if b" " in word and is_number(',
        'if b"  " in word and is_number(',
        ("checkpoints/test_word_vectors.py",),
    ),
    Mutant(
        "the_line_feed_behind_a_record_is_of_the_word",
        "checkpoints/word_vector_records.py",
        'data[begin:space].lstrip(b"\\n")',
        "data[begin:space]",
        ("checkpoints/test_word_vectors.py",),
    ),
    Mutant(
        "vectors_of_the_last_equal_word",
        "backbones/embedding.py",
        "in reversed(list(enumerate(words)))",
        "in enumerate(words)",
        ("backbones/test_embedding.py",),
    ),
    Mutant(
        "the_mean_counts_padding",
        "backbones/embedding.py",
        'count = ops.sum(ops.cast(real, "float32"), axis=1)',
        'count = ops.sum(ops.cast(real | True, "float32"), axis=1)',
        ("backbones/test_embedding.py",),
    ),
    Mutant(
        "the_largest_is_at_least_that_of_padding",
        "backbones/embedding.py",
        "ops.where(real, wide, -1e30)",
        "ops.where(real, wide, 0.0)",
        ("backbones/test_embedding.py",),
    ),
    Mutant(
        "padding_has_a_drawn_vector",
        "backbones/embedding.py",
        "        table[padding] = 0\n",
        "        pass\n",
        ("backbones/test_embedding.py",),
    ),
    Mutant(
        "words_are_dropped_in_parts",
        "backbones/embedding.py",
        "noise_shape=(None, None, 1)",
        "noise_shape=None",
        ("backbones/test_embedding.py",),
    ),
    Mutant(
        "every_window_is_the_largest",
        "objectives/skip_gram.py",
        "window = 1 + (drawn[1] * self.window).astype(int)",
        "window = self.window + (drawn[1] * 0).astype(int)",
        ("objectives/test_skip_gram.py",),
    ),
    Mutant(
        "windows_do_not_reach_over_dropped_words",
        "objectives/skip_gram.py",
        'order = np.argsort(~kept, axis=1, kind="stable")',
        'order = np.argsort(0 * kept, axis=1, kind="stable")',
        ("objectives/test_skip_gram.py",),
    ),
    Mutant(
        "pairs_of_two_documents",
        "objectives/skip_gram.py",
        "pairs &= document[rows, centres] == document[rows, contexts]",
        "pairs &= document[rows, centres] >= 0",
        ("objectives/test_skip_gram.py",),
    ),
    Mutant(
        "negatives_by_counts_themselves",
        "objectives/skip_gram.py",
        "NOISE_POWER = 0.75",
        "NOISE_POWER = 1.0",
        ("objectives/test_skip_gram.py",),
    ),
    Mutant(
        "the_first_pairs_of_a_row",
        "objectives/skip_gram.py",
        "keys = np.where(pairs, uniform, 2.0)",
        "keys = np.where(pairs, np.linspace(0, 1, num_places), 2.0)",
        ("objectives/test_skip_gram.py",),
    ),
    Mutant(
        "special_tokens_are_negatives",
        "objectives/skip_gram.py",
        "        counts[list(self.special_token_ids)] = 0\n",
        "        pass\n",
        ("objectives/test_skip_gram.py",),
    ),
    Mutant(
        "words_are_dropped_by_the_square",
        "objectives/skip_gram.py",
        "np.sqrt(threshold / np.maximum(shares, 1e-300))",
        "threshold / np.maximum(shares, 1e-300)",
        ("objectives/test_skip_gram.py",),
    ),
    Mutant(
        "a_negative_that_is_the_context_counts",
        "heads/vocabulary/negative_sampling_head.py",
        "ops.logical_and(is_context, is_negative)",
        "ops.logical_and(is_context, False)",
        ("heads/vocabulary/test_negative_sampling_head.py",),
    ),
    Mutant(
        "the_context_is_a_negative",
        "heads/vocabulary/negative_sampling_head.py",
        "ops.where(is_context, -logits, logits)",
        "ops.where(is_context, logits, logits)",
        ("heads/vocabulary/test_negative_sampling_head.py",),
    ),
    Mutant(
        "counts_of_documents_of_another_part",
        "data/corpus/token_counts.py",
        "    is_part[np.asarray(corpus.documents)] = True\n",
        "    is_part[:] = True\n",
        ("data/corpus/test_token_counts.py",),
    ),
    # === ELMo ===
    Mutant(
        "the_backward_side_reads_forward",
        "data/rows/two_way_rows.py",
        "back = _read(stream, mark - offset, self._end)",
        "back = _read(stream, before, self._end)",
        ("data/rows/test_two_way_rows.py",),
    ),
    Mutant(
        "the_backward_side_has_the_characters_of_the_other",
        "data/examples.py",
        "character_ids_of_rows(self.corpus, batch, side)",
        "character_ids_of_rows(self.corpus, batch)",
        ("tasks/test_elmo.py::test_no_direction_sees_what_it_predicts",),
    ),
    Mutant(
        "drawn_targets_count_against_themselves",
        "ops/sampled_softmax.py",
        "ops.where(candidates == token_ids[:, None], -1e30, others)",
        "others",
        ("ops/test_sampled_softmax.py",),
    ),
    Mutant(
        "targets_are_not_corrected",
        "ops/sampled_softmax.py",
        "own = own - log_expected_counts(token_ids, horizon, size)",
        "own = own",
        ("ops/test_sampled_softmax.py",),
    ),
    Mutant(
        "the_horizon_is_the_last_that_was_drawn",
        "ops/sampled_softmax.py",
        "-earliest[..., number]",
        "-earliest[..., number - 1]",
        ("ops/test_sampled_softmax.py",),
    ),
    Mutant(
        "evaluation_samples_the_softmax",
        "heads/vocabulary/sampled_softmax_head.py",
        "self._is_training and 0 < self.num_sampled < size",
        "0 < self.num_sampled < size",
        ("heads/vocabulary/test_sampled_softmax_head.py",),
    ),
    Mutant(
        "a_tagger_takes_the_last_layer_for_the_mix",
        "heads/token_head.py",
        "inputs = self.mix(inputs)",
        "inputs = inputs[-1]",
        ("tasks/test_elmo.py::test_a_tagger_learns_its_mix",),
    ),
    Mutant(
        "words_have_the_vectors_of_marks_too",
        "tasks/text_embedder.py",
        "return features, asked",
        'return features, features["padding_mask"]',
        ("tasks/test_elmo.py::test_vectors_of_words",),
    ),
    # === the memory of Transformer-XL ===
    Mutant(
        "same_length_never_counts_the_token_itself",
        "backbones/transformer_xl.py",
        "return length + 1 - self.same_length_with_itself",
        "return length + 1",
        ("backbones/test_transformer_xl.py",),
    ),
    Mutant(
        "the_window_is_that_of_training",
        "backbones/transformer_xl.py",
        'length = ops.sum(ops.cast(ops.ones_like(memory_mask[0]), "int32"))',
        "pass",
        ("backbones/test_transformer_xl.py",),
    ),
    Mutant(
        "padding_in_the_memory_is_seen",
        "backbones/transformer_xl.py",
        "                real = padding_mask\n",
        "                real = None\n",
        ("backbones/test_transformer_xl.py",),
    ),
    Mutant(
        "a_memory_is_cut_to_that_of_training",
        "layers/last_states.py",
        "length = ops.shape(memory)[1]  # M",
        "length = self.length",
        ("layers/test_last_states.py",),
    ),
    Mutant(
        "the_memory_is_not_normalised_with_norms_first",
        "layers/transformer_xl_block.py",
        "content, memory = self._before_attention(content), self._before_attention(memory)",
        "content = self._before_attention(content)",
        ("backbones/test_transformer_xl_parity.py",),
    ),
    Mutant(
        "padding_in_front_is_no_memory_of_zeros",
        "backbones/decoding/transformer_xl_decoding.py",
        "(keys_at >= before - length)",
        "(keys_at >= before)",
        ("backbones/decoding/test_transformer_xl_decoding.py",),
    ),
    Mutant(
        "a_row_of_a_batch_goes_on_from_the_state_of_another",
        "tasks/writing/causal_lm.py",
        'features["state"] = _rows_of_state(state, numbers)',
        'features["state"] = _rows_of_state(state, range(len(numbers)))',
        ("backbones/decoding/test_transformer_xl_decoding.py",),
    ),
    # === a vocabulary in clusters ===
    Mutant(
        "clusters_columns_descend",
        "ops/adaptive_softmax.py",
        "columns = ops.where(cluster == 0, targets, first - 1 + cluster)",
        "columns = ops.where(cluster == 0, targets, first + len(tails) - cluster)",
        ("heads/vocabulary/test_adaptive_softmax_head.py",),
    ),
    Mutant(
        "tails_of_rows_that_were_sorted",
        "ops/adaptive_softmax.py",
        "ops.take(ops.concatenate(found), ops.argsort(order))",
        "ops.concatenate(found)[: count]",
        ("heads/vocabulary/test_adaptive_softmax_head.py",),
    ),
    Mutant(
        "every_chunk_computes_every_tail",
        "ops/adaptive_softmax.py",
        "ops.cond(ops.any(here), in_tail",
        "ops.cond(ops.any(which >= 0), in_tail",
        ("ops/test_adaptive_softmax.py",),
    ),
    Mutant(
        "rows_are_not_sorted_by_cluster",
        "ops/adaptive_softmax.py",
        "order = ops.argsort(cluster)",
        "order = ops.argsort(ops.zeros_like(cluster))",
        ("ops/test_adaptive_softmax.py",),
    ),
    Mutant(
        "the_first_projection_is_tied",
        "heads/vocabulary/adaptive_softmax_head.py",
        'tied == "all_but_first" and number > 0',
        'tied == "all_but_first"',
        ("heads/vocabulary/test_adaptive_softmax_head.py",),
    ),
    Mutant(
        "perplexity_counts_padding",
        "heads/vocabulary/adaptive_softmax_head.py",
        "for one in (losses, weights))",
        "for one in (losses, ops.ones_like(losses)))",
        ("heads/vocabulary/test_adaptive_softmax_head.py",),
    ),
    Mutant(
        "adaptive_softmax_in_half_precision",
        "ops/adaptive_softmax.py",
        'logits + ops.cast(self.bias, "float32")',
        "ops.cast(logits, self.bias.dtype) + self.bias",
        ("heads/vocabulary/test_adaptive_softmax_head.py",),
    ),
    Mutant(
        "adaptive_embeddings_are_not_scaled",
        "layers/embedding/adaptive_embedding.py",
        "return states * self.output_dim**0.5",
        "return states",
        ("layers/embedding/test_adaptive_embedding.py",),
    ),
    Mutant(
        "a_same_width_is_always_projected",
        "layers/embedding/adaptive_embedding.py",
        "self.div_val > 1 and self.project_same_width",
        "self.div_val > 1",
        ("layers/embedding/test_adaptive_embedding.py",),
    ),
    Mutant(
        "clusters_of_the_original_torch_code_stay_reversed",
        "checkpoints/weight_names/adaptive_weights.py",
        "found[name] = found[name][::-1]",
        "found[name] = found[name]",
        ("checkpoints/weight_names/test_adaptive_weights.py",),
    ),
    Mutant(
        "keras_saves_the_losses_of_heads",
        "heads/head.py",
        'if name != "loss"]',
        "if name]",
        ("tasks/test_adaptive_softmax.py",),
    ),
    Mutant(
        "a_preset_forgets_the_clusters",
        "tasks/writing/causal_lm.py",
        '({"cutoffs": cutoffs} if cutoffs else {})',
        "{}",
        ("tasks/test_adaptive_softmax.py",),
    ),
    # === what heads are trained on ===
    Mutant(
        "weights_of_classes_replace_those_of_examples",
        "tasks/training/class_weights.py",
        'return ops.cast(weight, "float32") * ops.reshape(factor, ops.shape(weight))',
        "return ops.reshape(factor, ops.shape(weight))",
        ("tasks/training/test_class_weights.py",),
    ),
    Mutant(
        "a_class_without_weight_counts_nothing",
        "tasks/training/class_weights.py",
        'table = np.ones(most + 2, "float32")',
        'table = np.zeros(most + 2, "float32")',
        ("tasks/training/test_class_weights.py",),
    ),
    Mutant(
        "a_yes_or_no_of_a_token_is_averaged_over_the_row",
        "tasks/training/label_kinds.py",
        "one = kind in (NUMBERS, YES_NO) and targets.num_classes in (None, 1)",
        "one = False and kind == targets",
        ("tasks/test_own_heads.py",),
    ),
    Mutant(
        "loss_shrinks_with_unused_targets",
        "heads/head.py",
        'reduction = "mean_with_sample_weight"',
        'reduction = "sum_over_batch_size"',
        ("heads/test_head.py",),
    ),
    Mutant(
        "an_export_does_not_ask_the_tokenizer",
        "checkpoints/export.py",
        "key=lambda system: system.tokenizer.layout != layout",
        "key=lambda system: system.tokenizer.layout == layout",
        ("checkpoints/test_export.py",),
    ),
    Mutant(
        "permutations_of_the_whole_row",
        "objectives/random_order/permutation_modeling.py",
        "math.gcd(reuse or half, ",
        "math.gcd(reuse or self.sequence_length, ",
        ("objectives/random_order/test_permutation_modeling.py",),
    ),
    Mutant(
        "the_first_name_is_the_nearest",
        "checks.py",
        "difflib.get_close_matches(name, known, 1)",
        "known[:1]",
        ("test_checks.py",),
    ),
    Mutant(
        "default_metrics_do_not_follow_the_loss",
        "tasks/training/compiled_task.py",
        "if kind in other and label_kind(losses[name]) != kind:",
        "if kind in other and label_kind(losses[name]) == kind:",
        ("tasks/test_label_kinds.py",),
    ),
    # === ops ===
    Mutant(
        "query_sees_its_own_token",
        "ops/visibility.py",
        "gather_rows(order, target_positions) - 1",
        "gather_rows(order, target_positions)",
        ("ops/test_visibility.py",),
    ),
    Mutant(
        "key_is_seen_one_step_too_long",
        "ops/visibility.py",
        "ops.less(step[:, :, None], until[:, None, :])",
        "ops.less_equal(step[:, :, None], until[:, None, :])",
        ("ops/test_visibility.py",),
    ),
    Mutant(
        "gradient_of_a_column_that_was_not_read",
        "ops/relative_position.py",
        "to_column < key_length",
        "to_column <= key_length",
        ("ops/test_relative_position.py",),
    ),
    Mutant(
        "wrong_sign_of_an_angle_sum",
        "ops/factorised_position.py",
        "even * sine - odd * cosine",
        "even * sine + odd * cosine",
        ("ops/test_factorised_position.py",),
    ),
    Mutant(
        "row_before_the_one_asked_for",
        "ops/rows.py",
        "index = positions\n",
        "index = positions - 1\n",
        ("ops/test_gathering.py",),
    ),
    Mutant(
        "attention_scaled_by_the_wrong_axis",
        "ops/attention.py",
        "query.shape[-1] ** -0.5",
        "query.shape[-2] ** -0.5",
        ("ops/test_attention.py",),
    ),
    Mutant(
        "summary_of_the_first_token_despite_padding",
        "ops/rows.py",
        "ops.where(real > 0, place, place - 2**20)",
        "ops.where(real > 0, place, place)",
        ("ops/test_summary_row.py",),
    ),
    Mutant(
        "mask_of_keras_instead_of_what_is_visible",
        "ops/visibility.py",
        "visible = keys if visible is None else ops.logical_and(visible, keys)",
        "visible = keys",
        ("ops/test_visibility.py", "test_implicit_masks.py"),
    ),
    Mutant(
        "mask_of_a_memory_behind_its_segment",
        "ops/visibility.py",
        "parts = (memory, memory_mask), (content, content_mask)",
        "parts = (content, content_mask), (memory, memory_mask)",
        ("ops/test_visibility.py", "test_implicit_masks.py"),
    ),
    # === layers ===
    Mutant(
        "mask_hidden_from_content_rows_alone",
        "layers/attention/two_stream_attention.py",
        "query_visible = hide_masked(query_visible, keys)",
        "pass",
        ("test_implicit_masks.py",),
    ),
    Mutant(
        "attention_maps_with_a_mask_of_tokens",
        "layers/attention/attention_maps.py",
        "masked_outputs = (True, False)",
        "masked_outputs = (True, True)",
        ("test_implicit_masks.py",),
    ),
    Mutant(
        "answers_in_masked_rows",
        "heads/span_head.py",
        "return answer_mask if rows_mask is None else ops.logical_and(answer_mask, rows_mask)",
        "return answer_mask",
        ("test_implicit_masks.py",),
    ),
    Mutant(
        "scores_in_half_precision",
        "layers/attention/two_stream_attention.py",
        'ops.cast(score, "float32") * self.key_dim**-0.5',
        "score * self.key_dim**-0.5",
        ("layers/attention/test_two_stream_attention.py",),
    ),
    Mutant(
        "biases_of_content_and_position_exchanged",
        "layers/attention/two_stream_attention.py",
        "content_query, position_query, segment_query = self.biases(query)",
        "position_query, content_query, segment_query = self.biases(query)",
        ("layers/attention/test_two_stream_attention.py",),
    ),
    Mutant(
        "two_reads_replay_one_draw",
        "layers/attention/two_stream.py",
        "compute(compute, 2, training",
        "compute(compute, 1, training",
        ("layers/attention/test_two_stream.py", "layers/test_replayable_dropout.py"),
    ),
    Mutant(
        "no_dropout_after_attention",
        "layers/transformer_block.py",
        "attended = self.attention_dropout(attended, training=training)",
        "pass",
        ("layers/test_transformer_block.py", "layers/test_replayable_dropout.py"),
    ),
    Mutant(
        "no_dropout_after_feedforward",
        "layers/transformer_block.py",
        "hidden = self.feedforward_dropout(hidden, training=training)",
        "hidden = 1.0 * hidden",
        ("layers/test_transformer_block.py", "layers/test_replayable_dropout.py"),
    ),
    Mutant(
        "feedforward_starts_unscaled",
        "layers/transformer_block.py",
        "last = self.output_initializer or self.kernel_initializer",
        "last = self.kernel_initializer",
        (
            "layers/test_transformer_block.py",
            "backbones/test_transformer.py::test_scaled_residuals",
        ),
    ),
    # === encoder-decoders ===
    Mutant(
        "cross_attention_reads_padding",
        "layers/transformer_block.py",
        'options = {"source_visible": source_visible, "training": training}',
        'options = {"source_visible": None, "training": training}',
        ("layers/test_transformer_block.py", "backbones/test_seq2seq.py"),
    ),
    Mutant(
        "norm_of_cross_attention_is_that_of_attention",
        "layers/transformer_block.py",
        "norm = self.cross_attention_norm\n",
        "norm = self.attention_norm\n",
        ("layers/test_transformer_block.py", "backbones/test_seq2seq_parity.py"),
    ),
    Mutant(
        "gate_is_left_out",
        "layers/transformer_block.py",
        "hidden = hidden * self.multiplier(flat)",
        "hidden = hidden + 0 * self.multiplier(flat)",
        ("layers/test_transformer_block.py",),
    ),
    Mutant(
        "remat_draws_inner_dropout_anew",
        "layers/transformer_block.py",
        "dropouts += [self.activation_dropout, self.feedforward_dropout]",
        "dropouts += [self.feedforward_dropout]",
        ("layers/test_transformer_block.py",),
    ),
    Mutant(
        "waves_end_before_the_longest",
        "layers/positions/sinusoidal_position_encoding.py",
        'steps = waves - 1 if self.kind == "halves_inclusive" else waves',
        "steps = waves",
        ("layers/positions/test_sinusoidal_position_encoding.py",),
    ),
    Mutant(
        "decoder_has_buckets_ahead",
        "backbones/seq2seq_stack.py",
        'bidirectional=side == "encoder",',
        "bidirectional=True,",
        ("backbones/test_seq2seq.py", "backbones/test_seq2seq_parity.py"),
    ),
    Mutant(
        "first_learned_position_is_row_0",
        "backbones/seq2seq_stack.py",
        'self.position_embedding(positions + config["position_offset"])',
        "self.position_embedding(positions)",
        ("backbones/test_seq2seq_parity.py",),
    ),
    Mutant(
        "embeddings_are_scaled_behind_positions",
        "backbones/seq2seq_stack.py",
        "rows = rows + self.position_encoding(positions)",
        'rows = rows + config["hidden_dim"] ** 0.5 * self.position_encoding(positions)',
        ("backbones/test_transliteration.py", "backbones/test_seq2seq_parity.py"),
    ),
    Mutant(
        "beams_read_the_source_of_another_text",
        "layers/attention/projected_attention.py",
        "(key.shape[0], -1, rows.shape[-1])",
        "(-1, key.shape[0], rows.shape[-1])",
        ("layers/attention/test_projected_attention.py",),
    ),
    Mutant(
        "the_decoder_is_told_the_language_of_the_source",
        "backbones/seq2seq.py",
        'stack.embed(token_ids, positions, _languages(features, ""))',
        'stack.embed(token_ids, positions, _languages(features, "source_"))',
        ("backbones/test_seq2seq_languages.py",),
    ),
    Mutant(
        "a_text_over_both_sides_is_not_moved",
        "tasks/task_graph.py",
        "moved = ops.concatenate([end, token_ids[:, :-1]], axis=1)",
        "moved = token_ids",
        ("checkpoints/families/test_bart_heads.py",),
    ),
    Mutant(
        "a_target_that_is_cut_loses_its_end",
        "preprocessing/seq2seq_preprocessor.py",
        "list(own[:room]))[0] for own in ids]",
        "list(own[: room + 1]))[0][: length] for own in ids]",
        ("preprocessing/test_seq2seq_preprocessor.py",),
    ),
    Mutant(
        "decoder_forgets_what_of_the_source_is_hidden",
        "backbones/decoding/seq2seq_decoding.py",
        "visible if visible is None else visible[:, None],  # (B, 1, N)",
        "None,",
        ("backbones/decoding/test_seq2seq_decoding.py",),
    ),
    Mutant(
        "zero_token_is_trained_by_the_head",
        "heads/vocabulary/masked_lm_head.py",
        "logits = ops.where(is_zero, ops.zeros_like(logits), logits)",
        "pass",
        ("heads/vocabulary/test_masked_lm_head.py", "backbones/test_seq2seq.py"),
    ),
    Mutant(
        "queries_of_t5_begin_as_large_as_keys",
        "backbones/seq2seq.py",
        'if kind == "query" and not self.scale_scores:',
        "if False:",
        ("backbones/test_seq2seq.py",),
    ),
    Mutant(
        "t5_1_1_is_read_as_tied",
        "checkpoints/families/t5.py",
        "return np.array_equal(opened.read(OUTPUT), opened.read(SHARED))",
        "return said",
        ("checkpoints/families/test_seq2seq.py",),
    ),
    Mutant(
        "remat_draws_activation_dropout_anew",
        "layers/transformer_xl_block.py",
        "            self.activation_dropout,\n",
        "",
        ("layers/test_transformer_xl_block.py", "layers/test_replayable_dropout.py"),
    ),
    Mutant(
        "smaller_batch_gets_memory_of_others",
        "layers/carried_state.py",
        "rows != made_for",
        "rows > made_for",
        ("layers/test_segment_memory.py",),
    ),
    Mutant(
        "fresh_rows_keep_their_memory",
        "layers/carried_state.py",
        "ops.where(of_row, ops.zeros_like(value), value)",
        "ops.where(of_row, value, value)",
        ("layers/test_segment_memory.py",),
    ),
    Mutant(
        "rows_of_the_next_batch_skip_a_token",
        "data/rows/contiguous_rows.py",
        "ends[pass_step - 1] if pass_step",
        "ends[pass_step - 1] + 1 if pass_step",
        ("data/rows/test_contiguous_rows.py",),
    ),
    Mutant(
        "state_of_a_checkpoint_is_not_brought_back",
        "tasks/training/checkpoint.py",
        "if name in carried:",
        "if name in carried and False:",
        ("tasks/test_recurrent_backbone.py",),
    ),
    Mutant(
        "segments_same_and_different_exchanged",
        "layers/positions/relative_segment_encoding.py",
        "ops.cast(same - different,",
        "ops.cast(different - same,",
        ("layers/positions/test_relative_segment_encoding.py",),
    ),
    Mutant(
        "backward_rows_read_forward",
        "layers/positions/relative_position_encoding.py",
        "[-sines, cosines]",
        "[sines, cosines]",
        ("layers/positions/test_relative_position_encoding.py",),
    ),
    Mutant(
        "clamped_distances_not_clamped",
        "layers/positions/relative_position_encoding.py",
        "self.factorise and not self.clamp_length and not self.causal",
        "self.factorise and not self.causal",
        ("layers/positions/test_relative_position_encoding.py",),
    ),
    Mutant(
        "second_dropout_replays_the_first",
        "layers/replayable_dropout.py",
        "flat[index * draws : (index + 1) * draws]",
        "flat[:draws]",
        ("layers/test_replayable_dropout.py", "layers/test_transformer_xl_block.py"),
    ),
    Mutant(
        "no_dropout_of_attention_weights",
        "layers/attention/projected_attention.py",
        "not weights and not (training and self.dropout.rate > 0)",
        "not weights",
        ("layers/attention/test_projected_attention.py", "layers/test_transformer_block.py"),
    ),
    Mutant(
        "bias_of_rows_and_keys_exchanged",
        "layers/positions/relative_position_bias.py",
        "ops.transpose(bias, (1, 0, 2, 3))",
        "ops.transpose(bias, (1, 0, 3, 2))",
        ("layers/positions/test_relative_position_bias.py",),
    ),
    # === backbones ===
    Mutant(
        "window_without_the_row_itself",
        "backbones/xlnet.py",
        "memory_length + 1 if self.same_length",
        "memory_length if self.same_length",
        ("checkpoints/test_xlnet_checkpoint_parity.py",),
    ),
    Mutant(
        "memory_of_block_outputs",
        "backbones/xlnet.py",
        "self._new_memory(memory, hidden_states[:-1])",
        "self._new_memory(memory, hidden_states[1:])",
        ("backbones/test_xlnet.py", "backbones/test_xlnet_parity.py"),
    ),
    Mutant(
        "memory_beyond_the_reused_tokens",
        "backbones/xlnet.py",
        "slice(0, self.reuse_length or None)",
        "slice(0, None)",
        ("backbones/test_xlnet.py::test_new_memory",),
    ),
    Mutant(
        "positions_of_roberta_from_0_without_a_mask",
        "backbones/transformer.py",
        "return index + FIRST_COUNTED",
        "return index",
        ("backbones/decoding/test_transformer_decoding.py",),
    ),
    Mutant(
        "queries_see_mask_copies_for_ever",
        "backbones/transformer.py",
        "query_visibility(order, targets, padding_mask, window=window, until=until)",
        "query_visibility(order, targets, padding_mask, window=window)",
        ("objectives/random_order/test_masked_permutation_modeling.py",),
    ),
    Mutant(
        "query_rows_without_the_final_norm",
        "backbones/transformer.py",
        "query = query if query is None else self.final_norm(query)",
        "pass",
        ("backbones/test_transformer.py",),
    ),
    Mutant(
        "pooler_reads_padding",
        "backbones/transformer.py",
        "summary_row(content, padding_mask)",
        "summary_row(content, None)",
        ("backbones/test_transformer.py", "backbones/test_backbone.py"),
    ),
    # === heads ===
    Mutant(
        "first_token_predicted_from_padding",
        "heads/losses/auxiliary_lm_loss.py",
        "real[:, 1:] * real[:, :-1]",
        "real[:, 1:]",
        ("heads/losses/test_auxiliary_lm_loss.py",),
    ),
    Mutant(
        "known_start_at_0_is_unknown",
        "heads/beam_span_head.py",
        "start_positions >= 0",
        "start_positions > 0",
        ("heads/test_beam_span_head.py",),
    ),
    Mutant(
        "boundaries_left_and_right_exchanged",
        "heads/vocabulary/span_boundary_head.py",
        "[left, right, places]",
        "[right, left, places]",
        ("heads/vocabulary/test_span_boundary_head.py",),
    ),
    Mutant(
        "no_dropout_before_the_classes",
        "heads/summary_head.py",
        "self.dropout(self._activate(summary), training=training)",
        "self._activate(summary)",
        ("heads/test_summary_head.py",),
    ),
    # === ERNIE (Tsinghua) ===
    Mutant(
        "entities_are_not_hidden_again",
        "layers/knowledge_fusion_block.py",
        "ops.where(keys[:, 0, :, None], entities, ops.zeros_like(entities))",
        "ops.where(keys[:, 0, :, None], entities, entities)",
        ("backbones/test_knowledge.py", "layers/test_knowledge_fusion_block.py"),
    ),
    Mutant(
        "every_entity_is_read_as_a_key",
        "layers/knowledge_fusion_block.py",
        "self.entity_attention(entities, visible=keys, training=training)",
        "self.entity_attention(entities, training=training)",
        ("layers/test_knowledge_fusion_block.py",),
    ),
    Mutant(
        "the_first_token_has_no_entity",
        "backbones/knowledge.py",
        "has_entity = ops.logical_or(has_entity, named)",
        "has_entity = named",
        ("backbones/test_knowledge.py",),
    ),
    Mutant(
        "padding_names_an_entity",
        "backbones/knowledge.py",
        "named = named if padding_mask is None else ops.logical_and(named, padding_mask)",
        "named = named",
        ("backbones/test_knowledge.py",),
    ),
    Mutant(
        "the_entities_that_nobody_reads_are_trained",
        "backbones/knowledge.py",
        "layer.trainable = False  # nobody",
        "layer.trainable = True  # nobody",
        ("backbones/test_knowledge.py",),
    ),
    Mutant(
        "any_table_of_vectors_will_do",
        "backbones/entity_vectors_at_hand.py",
        'found["sha256"] != source["sha256"]',
        'found["num_entities"] != source["num_entities"]',
        ("backbones/test_knowledge.py",),
    ),
    Mutant(
        "files_hold_the_vectors_of_entities",
        "layers/embedding/entity_table.py",
        "def save_own_variables",
        "def save_no_variables",
        ("layers/embedding/test_entity_table.py",),
    ),
    Mutant(
        "averages_begin_at_zero",
        "tasks/optimizers/moving_averages.py",
        "if begins or average.value is variable.value:",
        "if average.value is variable.value:",
        ("tasks/optimizers/test_moving_averages.py",),
    ),
    Mutant(
        "groups_that_stood_still_take_averages_of_before",
        "tasks/optimizers/grouped_optimizer.py",
        "if optimizer is not None and int(optimizer.iterations):",
        "if optimizer is not None:",
        ("tasks/optimizers/test_moving_averages.py",),
    ),
    Mutant(
        "layers_that_heads_share_are_quantized_twice",
        "tasks/preset_files/quantized_layers.py",
        "            if id(layer) not in shared:\n                layer.quantize",
        "            if layer is not None:\n                layer.quantize",
        ("tasks/preset_files/test_quantized_layers.py",),
    ),
    Mutant(
        "presets_do_not_say_which_heads_are_frozen",
        "tasks/preset_files/task_preset.py",
        "**head_states(task.heads, task.backbone),",
        "",
        ("test_contract.py::test_what_is_frozen_stays_so",),
    ),
    Mutant(
        "checkpoints_of_training_hold_the_vectors_of_entities",
        "tasks/training/training_state.py",
        "if v.path in outside} if outside",
        "if v.path in outside} if not outside",
        ("backbones/test_knowledge.py",),
    ),
    Mutant(
        "unused_candidates_have_a_share",
        "heads/vocabulary/entity_head.py",
        "return ops.where(used[:, None], logits, -1e30)",
        "return ops.where(used[:, None], logits, 0.0)",
        ("heads/vocabulary/test_entity_head.py",),
    ),
    Mutant(
        "an_entity_stands_at_the_last_token_of_its_mention",
        "preprocessing/linked_entities.py",
        "first = int(inside.argmax())",
        "first = int(inside.nonzero()[0][-1])",
        ("preprocessing/test_linked_entities.py",),
    ),
    Mutant(
        "marks_do_not_move_entities",
        "preprocessing/marked_mentions.py",
        "for place, what in inserted if place <= begin)",
        "for place, what in inserted if place < begin)",
        ("preprocessing/test_marked_mentions.py",),
    ),
    Mutant(
        "missing_blocks_fuse",
        "checkpoints/families/ernie_thu.py",
        'types + ["text"] * (num_layers',
        'types + ["fuse"] * (num_layers',
        ("checkpoints/families/test_ernie_thu.py",),
    ),
    # === metrics ===
    Mutant(
        "neighbouring_entities_are_one",
        "metrics/entity_f1.py",
        "goes_on = goes_on & ops.logical_not(begins[:, 1:])",
        "pass",
        ("metrics/test_entity_f1.py",),
    ),
    Mutant(
        "equal_numbers_take_the_first_rank",
        "metrics/spearman_correlation.py",
        "(first + last) / 2.0",
        "first",
        ("metrics/test_spearman_correlation.py",),
    ),
    Mutant(
        "batches_merged_without_the_old_weight",
        "metrics/pearson_correlation.py",
        "shifts * old * share",
        "shifts * share",
        ("metrics/test_pearson_correlation.py",),
    ),
    Mutant(
        "threshold_between_equal_scores",
        "metrics/squad.py",
        "ordered[1:] > ordered[:-1]",
        "ordered[1:] >= ordered[:-1]",
        ("metrics/test_squad.py",),
    ),
    # === objectives ===
    Mutant(
        "second_part_sees_itself_early",
        "objectives/random_order/permutation_modeling.py",
        "part.start + (part.start > 0)",
        "part.start",
        ("objectives/random_order/test_permutation_modeling.py",),
    ),
    Mutant(
        "corruption_takes_the_numbers_of_the_selection",
        "objectives/masked_modeling.py",
        "uniform[:, middle:]",
        "uniform",
        ("objectives/test_masked_modeling.py",),
    ),
    Mutant(
        "rows_are_masked_in_place",
        "objectives/masked_modeling.py",
        'batch["token_ids"].copy()',
        'batch["token_ids"]',
        ("objectives/test_masked_modeling.py", "objectives/test_objective.py"),
    ),
    Mutant(
        "a_special_token_as_random_token",
        "objectives/corruption.py",
        'np.searchsorted(below, numbers, side="right")',
        'np.searchsorted(below, numbers, side="left")',
        ("objectives/test_corruption.py",),
    ),
    Mutant(
        "number_of_masked_tokens_rounded_down",
        "objectives/selection/span_selection.py",
        "np.ceil(self.rate * counts)",
        "np.floor(self.rate * counts)",
        ("objectives/selection/test_span_selection.py",),
    ),
    Mutant(
        "ngrams_overlap",
        "objectives/selection/ngram_selection.py",
        "(end > word) & ~taken[members].any(axis=0)",
        "(end > word)",
        ("objectives/selection/test_ngram_selection.py",),
    ),
    Mutant(
        "number_of_words_always_rounded_down",
        "objectives/selection/random_selection.py",
        "(rate * counts + uniform)",
        "(rate * counts)",
        ("objectives/selection/test_random_selection.py",),
    ),
    Mutant(
        "tokens_behind_the_pair_are_targets",
        "objectives/prefix_modeling.py",
        'real & (batch["segment_ids"] == 1)',
        'real & (batch["segment_ids"] >= 1)',
        ("objectives/test_prefix_modeling.py",),
    ),
    Mutant(
        "first_token_predicted_behind_padding",
        "objectives/causal_modeling.py",
        "is_real & real[:, : following.shape[1]]",
        "is_real",
        ("objectives/test_causal_modeling.py",),
    ),
    Mutant(
        "tokens_hidden_a_step_too_early",
        "objectives/random_order/masked_permutation_modeling.py",
        "np.full_like(order, self.num_predict + 1)",
        "np.full_like(order, self.num_predict)",
        ("objectives/random_order/test_masked_permutation_modeling.py",),
    ),
    Mutant(
        "order_takes_the_numbers_of_the_selection",
        "objectives/random_order/ordered_targets.py",
        "uniform[:, own:]",
        "uniform[:, :slots]",
        (
            "objectives/random_order/test_ordered_targets.py",
            "objectives/random_order/test_random_order_masking.py",
            "objectives/random_order/test_masked_permutation_modeling.py",
        ),
    ),
    Mutant(
        "numbers_of_a_row_depend_on_the_part",
        "objectives/joint/mixture.py",
        "rng.random((num_rows, self.draws_per_row))",
        "rng.random((num_rows, objective.draws_per_row))",
        ("objectives/joint/test_mixture.py", "data/test_examples.py"),
    ),
    Mutant(
        "hidden_tokens_shown_by_another_objective",
        "objectives/joint/objective_sum.py",
        "return (x | of_hidden, y",
        "return (x, y",
        ("objectives/joint/test_objective_sum.py",),
    ),
    Mutant(
        "longest_spans_have_no_boundary",
        "objectives/joint/span_boundary.py",
        "(right - left - 1 <= longest)",
        "(right - left - 1 < longest)",
        ("objectives/joint/test_span_boundary.py",),
    ),
    Mutant(
        "candidates_of_the_shard_alone",
        "data/examples.py",
        "self.objective.of_batch(batch if is_whole else self.builder(step))",
        "self.objective.of_batch(batch)",
        ("data/test_whole_batches.py",),
    ),
    Mutant(
        "the_last_candidate_is_never_a_replacement",
        "objectives/joint/entity_denoising.py",
        "(which * len(known)).astype",
        "(which * (len(known) - 1)).astype",
        ("objectives/joint/test_entity_denoising.py",),
    ),
    Mutant(
        "entities_of_low_numbers_are_preferred",
        "objectives/joint/entity_denoising.py",
        "distinct[np.argsort(first)[: most - 1]]",
        "distinct[: most - 1]",
        ("objectives/joint/test_entity_denoising.py",),
    ),
    Mutant(
        "entities_beyond_the_candidates_are_asked_for",
        "objectives/joint/entity_denoising.py",
        'is_known.astype("float32")',
        'is_mention.astype("float32")',
        ("objectives/joint/test_entity_denoising.py",),
    ),
    Mutant(
        "labels_of_rows_that_are_left_out",
        "data/rows/planned_rows.py",
        "{name: np.asarray(one)[kept] for",
        "{name: np.asarray(one)[: kept.sum()] for",
        ("data/test_whole_batches.py",),
    ),
    Mutant(
        "mentions_have_their_entity_at_every_token",
        "data/corpus/word_bounds.py",
        "if column.begins:",
        "if not column.begins:",
        ("data/test_entity_linker.py", "data/corpus/test_columns.py"),
    ),
    Mutant(
        "mention_goes_on_from_the_sentence_before",
        "data/corpus/aligned_entities.py",
        "names = [NONE, *(name for _, name in pairs)]",
        "names = [pairs[-1][1], *(name for _, name in pairs)]",
        ("data/corpus/test_aligned_entities.py",),
    ),
    Mutant(
        "shortest_name_first",
        "data/entity_linker.py",
        "range(self._longest.get(words[at][0], 0), 0, -1)",
        "range(1, self._longest.get(words[at][0], 0) + 1)",
        ("data/test_entity_linker.py",),
    ),
    Mutant(
        "false_triples_pull_as_true_ones",
        "data/translating_embeddings.py",
        "(false, gaps[1], -1)",
        "(false, gaps[1], 1)",
        ("data/test_translating_embeddings.py",),
    ),
    Mutant(
        "other_true_triples_count_in_ranks",
        "data/translating_embeddings.py",
        "list({*by_rest[tuple(triple[others])]})",
        "[triple[end]]",
        ("data/test_translating_embeddings.py",),
    ),
    Mutant(
        "plug_ins_asked_before_it_is_hidden",
        "objectives/joint/objective_sum.py",
        "not pair[1].hides)",
        "pair[1].hides)",
        ("objectives/joint/test_plug_in.py",),
    ),
    Mutant(
        "old_span_boundary_dropped",
        "objectives/old_configs.py",
        "if longest == 0 and",
        "if",
        ("objectives/test_old_configs.py",),
    ),
    Mutant(
        "sentinel_behind_its_span",
        "objectives/two_sided/rewriting.py",
        "before_each(rows.begins, rows.units > 0)",
        "before_each(rows.units > 0, rows.begins)",
        ("objectives/two_sided/test_rewriting.py",),
    ),
    Mutant(
        "decoder_reads_its_target",
        "objectives/two_sided/source_and_target.py",
        "np.concatenate([start, tokens[:, :-1]], axis=1)",
        "np.concatenate([tokens[:, :-1], start], axis=1)",
        ("objectives/two_sided/test_source_and_target.py",),
    ),
    Mutant(
        "first_token_is_read_from_itself",
        "objectives/two_sided/rewriting.py",
        "np.where(place > 0, rows.token_ids[:, before], start)",
        "rows.token_ids[:, before]",
        ("objectives/noising/test_noise.py",),
    ),
    Mutant(
        "span_never_ends_with_the_row",
        "objectives/selection/one_span.py",
        "start = (share * (free + 1))",
        "start = (share * np.maximum(free, 1))",
        ("objectives/selection/test_one_span.py",),
    ),
    Mutant(
        "empty_spans_half_as_often",
        "objectives/selection/poisson_selection.py",
        "/ -self.mean_length",
        "/ -self.mean_length / 2",
        ("objectives/selection/test_poisson_selection.py",),
    ),
    Mutant(
        "span_over_another_begins_anew",
        "objectives/selection/poisson_selection.py",
        "words.tokens_of(begins & ~over)",
        "words.tokens_of(begins)",
        ("objectives/selection/test_poisson_selection.py",),
    ),
    Mutant(
        "mask_outside_of_the_frame",
        "objectives/noising/infilled_input.py",
        "(place < end - trail[:, None])",
        "(place < end)",
        ("objectives/noising/test_infilled_input.py",),
    ),
    Mutant(
        "shuffled_too_far",
        "objectives/noising/arrangement.py",
        "uniform * (self.distance + 1)",
        "uniform * (self.distance + 2)",
        ("objectives/noising/test_arrangement.py",),
    ),
    Mutant(
        "permuted_target",
        "objectives/two_sided/rewriting.py",
        "rows.token_ids if rows.whole is None else rows.whole",
        "rows.token_ids",
        ("objectives/two_sided/test_denoising.py",),
    ),
    Mutant(
        "masks_that_a_decoder_sees",
        "objectives/two_sided/rewriting.py",
        '"visible": token_ids != mask}',
        '"visible": rows.real}',
        ("objectives/noising/test_noise.py",),
    ),
    Mutant(
        "a_span_that_is_read_from_itself",
        "objectives/two_sided/rewriting.py",
        "rows.token_ids[:, before]",
        "rows.token_ids",
        ("objectives/noising/test_what_a_decoder_knows.py",),
    ),
    Mutant(
        "dropped_to_nothing",
        "objectives/noising/noisy_input.py",
        "dropped &= ~(lost &",
        "dropped &= ~(~lost &",
        ("objectives/noising/test_noisy_input.py",),
    ),
    Mutant(
        "translation_asks_for_its_start",
        "objectives/two_sided/translation.py",
        "asked = is_target & ~(first & functional & (token_ids == self.start_token_id))",
        "asked = is_target",
        ("objectives/two_sided/test_translation.py",),
    ),
    Mutant(
        "smoothed_over_one_class_more",
        "heads/losses/smoothed_cross_entropy.py",
        "/ (classes - 1)",
        "/ classes",
        ("heads/losses/test_smoothed_cross_entropy.py",),
    ),
    Mutant(
        "hidden_part_a_token_short",
        "objectives/selection/span_partition.py",
        "(rows, ends[:, 1::2]), -1)",
        "(rows, ends[:, 1::2] - 1), -1)",
        ("objectives/selection/test_span_partition.py",),
    ),
    Mutant(
        "labels_of_special_tokens_asked",
        "objectives/labels/label_objective.py",
        '& ~batch["functional"] & (labels >= 0)',
        "& (labels >= 0)",
        ("objectives/labels/test_label_objective.py",),
    ),
    # === data ===
    Mutant(
        "special_tokens_have_the_column_of_the_text",
        "data/corpus/columns.py",
        "if special is not None:",
        "if special is None:",
        ("data/corpus/test_columns.py", "data/rows/test_row_rendering.py"),
    ),
    Mutant(
        "a_row_of_a_plan_may_be_too_long",
        "data/rows/planned_rows.py",
        "or longest > room",
        "or longest > room + 1",
        ("data/rows/test_planned_rows.py",),
    ),
    Mutant(
        "last_full_row_dropped",
        "data/rows/packed_rows.py",
        "stream.num_tokens - room + 1, room",
        "stream.num_tokens - room, room",
        ("data/rows/test_packed_rows.py", "data/rows/test_row_plans.py"),
    ),
    Mutant(
        "rows_shuffled_as_the_documents",
        "data/rows/planned_rows.py",
        "(request.seed, 1, number)",
        "(request.seed, 0, number)",
        ("data/rows/test_planned_rows.py",),
    ),
    Mutant(
        "batches_of_a_mixture_in_twins",
        "data/rows/mixture_rows.py",
        "(self.seed, 4, step)",
        "(self.seed, 4, step // 2)",
        ("data/rows/test_mixture_rows.py", "objectives/joint/test_mixture.py"),
    ),
    Mutant(
        "a_paragraph_is_cut_twice_at_a_place",
        "data/rows/labels/sentence_reordering_rows.py",
        "cut += cut >= earlier",
        "cut += cut > earlier",
        ("data/rows/labels/test_sentence_reordering_rows.py",),
    ),
    Mutant(
        "orders_of_fewer_parts_have_the_same_numbers",
        "objectives/labels/sentence_reordering.py",
        "before[counts - 1] + ",
        "0 * before[counts - 1] + ",
        ("objectives/labels/test_sentence_reordering.py",),
    ),
    Mutant(
        "a_row_is_among_the_others_of_its_document",
        "data/rows/labels/token_document_rows.py",
        "tokens[behind:]",
        "tokens[offset:]",
        ("data/rows/labels/test_token_document_rows.py",),
    ),
    Mutant(
        "labels_of_special_tokens_are_asked",
        "data/rows/row_rendering.py",
        'np.full(shape, -1, "int32")',
        'np.full(shape, 0, "int32")',
        ("data/rows/test_row_rendering.py",),
    ),
    Mutant(
        "neighbours_are_far",
        "data/rows/labels/sentence_distance_rows.py",
        "later = a + 2 + ",
        "later = a + 1 + ",
        ("data/rows/labels/test_sentence_distance_rows.py",),
    ),
    Mutant(
        "a_connective_has_the_number_of_the_column",
        "data/rows/labels/discourse_relation_rows.py",
        "marker[left] - 1",
        "marker[left] - 0",
        ("data/rows/labels/test_discourse_relation_rows.py",),
    ),
    Mutant(
        "a_comma_tells_of_the_connective",
        "data/corpus/word_annotators.py",
        r"(?:\s*,)?",
        "",
        ("data/corpus/test_word_annotators.py",),
    ),
    Mutant(
        "a_missing_column_is_found_out_in_training",
        "data/examples.py",
        'getattr(objective, "columns", ())',
        "()",
        ("data/rows/labels/test_discourse_relation_rows.py",),
    ),
    Mutant(
        "all_batches_are_of_the_first_task",
        "objectives/joint/mixture.py",
        'batch["token_ids"].shape, part, "int32"',
        'batch["token_ids"].shape, 0, "int32"',
        ("objectives/joint/test_mixture.py",),
    ),
    Mutant(
        "old_tasks_have_more_than_their_batches",
        "objectives/joint/continual_stages.py",
        "steps // (num_tasks + 1)",
        "steps // num_tasks",
        ("objectives/joint/test_continual_stages.py",),
    ),
    Mutant(
        "idle_heads_are_moved",
        "tasks/optimizers/grouped_optimizer.py",
        "if self.rest_when_idle:",
        "if False:",
        ("tasks/optimizers/test_grouped_optimizer.py::test_a_head_without_weights_stands_still",),
    ),
    Mutant(
        "texts_are_of_the_first_task",
        "backbones/transformer.py",
        'self.task_id if name == "task_ids" else 0',
        '0 if name == "task_ids" else 0',
        ("backbones/test_transformer.py::test_the_task_where_none_is_given",),
    ),
    Mutant(
        "what_is_written_is_of_the_first_task",
        "backbones/decoding/transformer_decoding.py",
        'getattr(backbone, "task_id", 0)',
        "0",
        ("backbones/decoding/test_transformer_decoding.py::test_cached_is_recomputed",),
    ),
    Mutant(
        "the_table_of_tokens_rests_with_a_head",
        "transfer/parameter_groups.py",
        "{id(one) for one in backbone.trainable_variables}",
        "set()",
        ("tasks/test_task_ids.py::test_groups_of_heads",),
    ),
    Mutant(
        "unused_sentences_are_lost",
        "data/rows/sentence_pair_rows.py",
        'cut if is_false and negative == "random" else end',
        "end",
        ("data/rows/test_sentence_pair_rows.py",),
    ),
    Mutant(
        "false_pair_from_the_same_document",
        "data/rows/sentence_pair_rows.py",
        "other += other >= documents",
        "other += other > documents",
        ("data/rows/test_sentence_pair_rows.py",),
    ),
    Mutant(
        "sentence_before_at_a_bound",
        "data/rows/stream.py",
        'corpus_position, side="right") - 1',
        'corpus_position, side="left") - 1',
        ("data/rows/test_stream.py",),
    ),
    Mutant(
        "backward_rows_one_token_late",
        "data/rows/xlnet_rows.py",
        "row_end - 1 - offset",
        "row_end - offset",
        ("data/rows/test_xlnet_rows.py",),
    ),
    Mutant(
        "end_of_a_language_dropped",
        "data/rows/language_rows.py",
        "-(-(ends - begins) // room)",
        "(ends - begins) // room",
        ("data/rows/test_language_rows.py",),
    ),
    Mutant(
        "shards_draw_the_same_numbers",
        "data/examples.py",
        "bits.advance(self.rows.start * self.objective.draws_per_row)",
        "pass",
        ("data/test_examples.py",),
    ),
    Mutant(
        "static_masks_drawn_anew",
        "data/examples.py",
        "return step % period if period else step",
        "return step",
        ("data/test_examples.py",),
    ),
    Mutant(
        "held_out_document_in_training",
        "data/corpus/corpus.py",
        "np.sort(drawn[number:])",
        "np.sort(drawn[number - 1 :])",
        ("data/corpus/test_corpus.py",),
    ),
    Mutant(
        "first_word_of_a_text_continues",
        "data/corpus/columns.py",
        "values[first] = column.first(values[first])",
        "pass",
        ("data/rows/test_row_rendering.py", "data/corpus/test_columns.py"),
    ),
    Mutant(
        "token_of_the_next_document_drawn",
        "data/examples.py",
        'number, side="right")',
        'number, side="left")',
        ("data/test_token_sampling.py",),
    ),
    Mutant(
        "truncated_rows_one_token_short",
        "data/rows/planned_rows.py",
        "np.cumsum(cut, axis=1) <= missing",
        "np.cumsum(cut, axis=1) < missing",
        ("data/rows/test_truncation.py",),
    ),
    # === tasks ===
    Mutant(
        "checkpoint_is_a_step_behind",
        "tasks/training/checkpoint.py",
        "self.step_of_epoch + batch + 1",
        "self.step_of_epoch + batch",
        ("tasks/training/test_checkpoint.py",),
    ),
    Mutant(
        "checkpoints_missed_by_several_steps_at_once",
        "tasks/training/checkpoint.py",
        "self.step // self.every > before // self.every",
        "self.step % self.every == 0",
        ("tasks/training/test_checkpoint.py",),
    ),
    Mutant(
        "arrays_of_another_step_are_taken",
        "tasks/training/checkpoint_files.py",
        'if metadata.get("step") != str(step):',
        'if "step" not in metadata:',
        ("tasks/training/test_checkpoint.py",),
    ),
    Mutant(
        "a_damaged_checkpoint_is_kept_as_the_older_one",
        "tasks/training/checkpoint_files.py",
        "if not trusted:",
        "if trusted:",
        ("tasks/training/test_checkpoint.py",),
    ),
    Mutant(
        "digests_of_a_corpus_are_not_compared",
        "data/corpus/corpus_files.py",
        "known = arrays.keys() & digests.keys()",
        "known = digests.keys() - arrays.keys()",
        ("data/corpus/test_corpus.py",),
    ),
    Mutant(
        "bits_of_weights_may_change",
        "backbones/preset_files/weights_file.py",
        "digest != _digest(name, array).encode()",
        "digest == b''",
        ("backbones/preset_files/test_weights_file.py",),
    ),
    Mutant(
        "bits_of_heads_may_change",
        "tasks/preset_files/heads_file.py",
        "digests[name] != files.digest({name: array})",
        "name not in digests",
        ("tasks/preset_files/test_heads_file.py",),
    ),
    Mutant(
        "a_tokenizer_is_named_before_its_vocabulary_is_there",
        "tokenizers/tokenizer.py",
        "replacing_files(directory, last=TOKENIZER_FILE)",
        "replacing_files(directory)",
        ("tokenizers/test_tokenizer_files.py",),
    ),
    Mutant(
        "a_chain_of_replacements_grows_without_end",
        "tokenizers/subword/subword_pipeline.py",
        "growth > LARGEST_GROWTH",
        "growth < 0",
        ("tokenizers/subword/test_subword_pipeline.py",),
    ),
    Mutant(
        "a_panic_is_no_error_of_a_file",
        "files.py",
        'panic = type(error).__module__ == "pyo3_runtime"',
        "panic = False",
        ("test_files.py",),
    ),
    Mutant(
        "a_preset_without_its_preprocessor_loads",
        "tasks/preset_files/task_preset.py",
        'saved.get("preprocessor") and "preprocessor" not in given',
        "False",
        ("tasks/preset_files/test_task_preset.py",),
    ),
    Mutant(
        "shapes_are_not_in_the_digest",
        "files.py",
        "{array.dtype.str}\\0{array.shape}\\0",
        "{array.dtype.str}\\0",
        ("test_files.py",),
    ),
    Mutant(
        "a_rate_that_callbacks_changed_is_that_of_the_compilation",
        "tasks/training/training_fingerprint.py",
        "if anew or model.optimizer not in _compiled:",
        "if True:",
        ("tasks/training/test_training_fingerprint.py", "tasks/training/test_checkpoint.py"),
    ),
    Mutant(
        "a_part_of_a_word_allows_a_difference",
        "tasks/training/training_fingerprint.py",
        'f".{name}." in f".{path}."',
        "name in path",
        ("tasks/training/test_training_fingerprint.py",),
    ),
    Mutant(
        "a_new_rate_is_lost_in_the_old_one",
        "tasks/training/checkpoint.py",
        "        variable.assign(rate)\n",
        "        variable.assign(variable)\n",
        ("tasks/training/test_checkpoint.py",),
    ),
    Mutant(
        "the_next_batch_counts_from_step_0",
        "tasks/training/checkpoint.py",
        "self._examples.start + self.step - self._step_of_fit",
        "self._examples.start + self.step",
        ("tasks/training/test_checkpoint.py",),
    ),
    Mutant(
        "directories_of_living_writers_are_cleared_away",
        "files.py",
        "fcntl.LOCK_EX |",
        "fcntl.LOCK_SH |",
        ("test_files.py",),
    ),
    Mutant(
        "head_file_holds_the_embedding",
        "tasks/preset_files/heads_file.py",
        "        if id(v) not in shared\n",
        "",
        ("tasks/preset_files/test_heads_file.py",),
    ),
    Mutant(
        "null_score_of_the_last_window",
        "tasks/span_decoding.py",
        "min(null_score, null_scores.get(window.example, np.inf))",
        "null_score",
        ("tasks/test_span_decoding.py",),
    ),
    Mutant(
        "threshold_itself_has_no_answer",
        "tasks/span_decoding.py",
        "null_score <= null_threshold",
        "null_score < null_threshold",
        ("tasks/test_span_decoding.py",),
    ),
    Mutant(
        "answers_from_windows_that_see_less",
        "tasks/span_decoding.py",
        "possible &= window.owned[np.clip(starts, 0, length - 1)]",
        "pass",
        ("tasks/test_span_decoding.py",),
    ),
    Mutant(
        "search_stops_on_a_short_hope",
        "generation/beam_search.py",
        "self._score(ops.max(scores, axis=1), lengths[:, -1])",
        "self._score(ops.max(scores, axis=1), lengths[:, 0])",
        ("generation/test_beam_search.py", "generation/test_decoding_causal.py"),
    ),
    Mutant(
        "search_stops_when_the_best_text_is_sure",
        "generation/beam_search.py",
        "ops.any(ops.min(finished_scores, axis=1) < hope)",
        "ops.any(ops.max(finished_scores, axis=1) < hope)",
        ("generation/test_beam_search.py",),
    ),
    Mutant(
        "one_beam_puts_the_second_best_aside",
        "generation/beam_search.py",
        "* self.num_beams if self.num_beams > 1 else 1",
        "* self.num_beams",
        ("generation/test_beam_search.py",),
    ),
    Mutant(
        "a_run_of_tokens_may_end_where_the_next_begins",
        "generation/allowed_tokens.py",
        "ops.arange(size - 1, places) < index",
        "ops.arange(size - 1, places) < index - 1",
        ("generation/test_allowed_tokens.py",),
    ),
    Mutant(
        "a_text_stops_one_token_too_early",
        "generation/allowed_tokens.py",
        "index < self.min_length",
        "index + 1 < self.min_length",
        ("generation/test_allowed_tokens.py",),
    ),
    Mutant(
        "beams_take_the_cache_of_other_texts",
        "generation/beam_search.py",
        "parents + self.num_beams * ops.arange(batch)[:, None]",
        "parents + ops.arange(batch)[:, None]",
        ("generation/test_beam_search.py", "generation/test_decoding_causal.py"),
    ),
    Mutant(
        "tokens_written_one_position_late",
        "generation/decoding.py",
        "ops.stack(read, axis=1), before + index - 1",
        "ops.stack(read, axis=1), before + index",
        ("generation/test_decoding_causal.py",),
    ),
    Mutant(
        "blank_reads_itself",
        "generation/decoding.py",
        "ops.maximum(index - 1, 0)",
        "index",
        ("generation/test_decoding_permutation.py",),
    ),
    Mutant(
        "a_source_is_seen_only_as_far_as_it_is_read",
        "backbones/decoding/transformer_decoding.py",
        '"source_length": known',
        '"source_length": 0',
        ("generation/test_decoding_prefix.py",),
    ),
    Mutant(
        "shared_weights_are_in_no_group",
        "backbones/backbone.py",
        "if id(weight) not in taken]",
        "if id(weight) not in owners]",
        ("backbones/test_backbone.py",),
    ),
    Mutant(
        "every_epoch_in_the_same_order",
        "tasks/feeding/shuffled_batches.py",
        "np.random.default_rng((self.seed, epoch))",
        "np.random.default_rng(self.seed)",
        ("tasks/feeding/test_shuffled_batches.py",),
    ),
    Mutant(
        "rest_of_an_epoch_dropped",
        "tasks/feeding/shuffled_batches.py",
        "batches += [(rest, self._lengths[-1])] * (len(rest) > 0)",
        "pass",
        ("tasks/feeding/test_shuffled_batches.py",),
    ),
    Mutant(
        "batches_longer_than_their_rows",
        "tasks/feeding/shuffled_batches.py",
        "self._lengths = enough[: np.searchsorted(enough, real.max()) + 1]",
        "self._lengths = enough",
        ("tasks/feeding/test_shuffled_batches.py",),
    ),
    Mutant(
        "labels_of_classes_cut",
        "tasks/feeding/length_batches.py",
        "    if not labels_of_tokens and not asked:\n",
        "    if False:\n",
        ("tasks/feeding/test_shuffled_batches.py",),
    ),
    Mutant(
        "targets_of_a_decoder_not_cut",
        "tasks/feeding/length_batches.py",
        "    if not labels_of_tokens and not asked:\n",
        "    if not labels_of_tokens:\n",
        ("tasks/training/test_token_batches.py",),
    ),
    Mutant(
        "pairs_as_long_as_their_shorter_side",
        "tasks/feeding/row_lengths.py",
        "np.maximum(*",
        "np.minimum(*",
        ("tasks/training/test_token_batches.py",),
    ),
    Mutant(
        "as_many_long_rows_as_short_ones",
        "tasks/feeding/shuffled_batches.py",
        "max(1, tokens_per_batch // length)",
        "max(1, tokens_per_batch // lengths[0])",
        ("tasks/training/test_token_batches.py",),
    ),
    Mutant(
        "first_batches_that_agree_in_a_side",
        "tasks/feeding/shuffled_batches.py",
        "most if lengths[0] == least else least",
        "least if lengths[0] == most else most",
        ("tasks/training/test_token_batches.py",),
    ),
    Mutant(
        "mean_of_checkpoints_is_their_sum",
        "transfer/checkpoint_averaging.py",
        "total / np.float32(len(sources))",
        "total",
        ("transfer/test_checkpoint_averaging.py",),
    ),
    Mutant(
        "heads_of_the_last_checkpoint_alone",
        "transfer/checkpoint_averaging.py",
        "sum(arrays[name] for arrays in read) / count",
        "read[-1][name]",
        ("transfer/test_checkpoint_averaging.py",),
    ),
    Mutant(
        "targets_by_the_model_of_sources",
        "tokenizers/translation_tokenizer.py",
        "TranslationTokenizer(self.pieces_by_id, self.target_proto, **settings)",
        "TranslationTokenizer(self.pieces_by_id, self.source_proto, **settings)",
        ("tokenizers/test_translation_tokenizer.py",),
    ),
    Mutant(
        "sources_of_a_corpus_by_the_model_of_targets",
        "data/corpus/corpus_writing.py",
        "list(places)[1::2]",
        "list(places)[::2]",
        ("data/corpus/test_both_sides.py",),
    ),
    Mutant(
        "special_pieces_found_in_texts",
        "tokenizers/translation_tokenizer.py",
        "for piece, index in ids.items() if index not in special}",
        "for piece, index in ids.items()}",
        ("tokenizers/test_translation_tokenizer.py",),
    ),
    Mutant(
        "sentinels_that_count_up",
        "tokenizers/sentinel_pieces.py",
        "for one in reversed(range(number))",
        "for one in range(number)",
        ("tokenizers/test_sentence_piece_tokenizer.py",),
    ),
    Mutant(
        "sentinels_of_the_json_twice",
        "tokenizers/tokenizers_json.py",
        "        del vocabulary[-1]\n",
        "        break\n",
        ("checkpoints/families/test_seq2seq_tokenizers.py",),
    ),
    Mutant(
        "predictions_in_the_order_of_lengths",
        "tasks/training/fitted_task.py",
        "all_rows[(rows, columns) if tokens else rows] = one",
        "all_rows[(np.sort(rows), columns) if tokens else np.sort(rows)] = one",
        ("tasks/feeding/test_length_batches.py",),
    ),
    Mutant(
        "positions_moved_by_a_cut",
        "tasks/feeding/row_lengths.py",
        "if real[:, -1].all() and cut_left:",
        "if real[:, -1].all():",
        ("tasks/feeding/test_length_batches.py",),
    ),
    Mutant(
        "answers_moved_by_a_cut",
        "tasks/training/fitted_task.py",
        "                cut_left=self._cuts_left and not self.labels_are_positions,\n",
        "                cut_left=self._cuts_left,\n",
        ("tasks/feeding/test_length_batches.py",),
    ),
    Mutant(
        "columns_of_padding_at_the_wrong_side",
        "tasks/feeding/length_batches.py",
        "return slice(whole - length, None) if at_left else slice(length)",
        "return slice(length)",
        ("tasks/feeding/test_length_batches.py",),
    ),
    Mutant(
        "vectors_in_the_order_of_lengths",
        "tasks/text_embedder.py",
        "for number, own in zip(numbers, vectors):",
        "for number, own in zip(np.sort(numbers), vectors):",
        ("tasks/feeding/test_length_batches.py", "tasks/test_text_embedder.py"),
    ),
    Mutant(
        "masks_filled_in_the_order_of_lengths",
        "tasks/masked_lm.py",
        "own = ((number, *rows[number]) for number in longest_first(rows))",
        "own = ((place, *rows[number]) for place, number in enumerate(longest_first(rows)))",
        ("tasks/feeding/test_length_batches.py", "tasks/test_masked_lm.py"),
    ),
    Mutant(
        "what_is_not_finite_is_trained_on",
        "tasks/training/finite_guard.py",
        "            variable.assign(ops.where(finite, variable, value))",
        "            variable.assign(variable)",
        ("tasks/training/test_finite_guard.py",),
    ),
    Mutant(
        "a_loss_that_is_not_finite_counts",
        "tasks/training/finite_guard.py",
        'return loss * ops.cast(ops.where(finite, 1.0, float("nan")), loss.dtype)',
        "return loss",
        ("tasks/training/test_finite_guard.py",),
    ),
    Mutant(
        "gradients_without_a_norm_are_clipped",
        "tasks/training/finite_guard.py",
        "LARGEST = 1e28",
        "LARGEST = 3e38",
        ("tasks/training/test_finite_guard.py",),
    ),
    Mutant(
        "gradients_that_cancel_have_a_norm",
        "tasks/training/finite_guard.py",
        "ops.reshape(2 * tf.nn.l2_loss(gradient), (1,))",
        "ops.reshape(ops.sum(gradient), (1,))",
        ("tasks/training/test_finite_guard.py",),
    ),
    Mutant(
        "an_update_of_a_bad_batch",
        "tasks/training/finite_guard.py",
        "run_if(_is_finite(model, scaled), update, [])",
        "run_if(tf.constant(True), update, [])",
        ("tasks/training/test_finite_guard.py",),
    ),
    Mutant(
        "tasks_with_sparse_gradients",
        "tasks/training/compiled_task.py",
        "            with given_dense_gradients(self.optimizer):\n",
        "            if True:\n",
        ("tasks/optimizers/test_dense_gradients.py",),
    ),
    Mutant(
        "guarded_tasks_with_sparse_gradients",
        "tasks/training/finite_guard.py",
        "            with_dense_gradients,\n",
        "            list,\n",
        ("tasks/optimizers/test_dense_gradients.py",),
    ),
    Mutant(
        "the_text_that_is_alone_is_kept_a_place_behind",
        "backbones/decoding/transformer_decoding.py",
        "ops.slice_update(kept, (0, first, 0), rows[0])",
        "ops.slice_update(kept, (0, first + 1, 0), rows[0])",
        ("generation/test_decoding_causal.py",),
    ),
    Mutant(
        "adam_squares_the_places_of_a_token",
        "tasks/optimizers/adam_weight_decay.py",
        "super().apply(dense_gradients(grads), trainable_variables)",
        "super().apply(grads, trainable_variables)",
        ("tasks/optimizers/test_dense_gradients.py",),
    ),
    Mutant(
        "groups_square_the_places_of_a_token",
        "tasks/optimizers/grouped_optimizer.py",
        "super().apply(dense_gradients(grads), trainable_variables)",
        "super().apply(grads, trainable_variables)",
        ("tasks/optimizers/test_dense_gradients.py",),
    ),
    Mutant(
        "groups_made_in_a_traced_step",
        "tasks/optimizers/grouped_optimizer.py",
        "return tf.init_scope()",
        "return contextlib.nullcontext()",
        ("tasks/optimizers/test_dense_gradients.py",),
    ),
    Mutant(
        "no_decay_beside_the_kernel_of_adam",
        "tasks/optimizers/adam_weight_decay.py",
        "            if decays:\n",
        "            if False:\n",
        ("tasks/optimizers/test_adam_kernel.py",),
    ),
    Mutant(
        "adams_kernel_in_half_precision",
        "tasks/optimizers/adam_kernel.py",
        ' and one.dtype == "float32" for',
        " for",
        ("tasks/optimizers/test_adam_kernel.py",),
    ),
    Mutant(
        "lengths_by_eights_where_nothing_compiles",
        "tasks/feeding/shuffled_batches.py",
        "    if not cost:\n",
        "    if cost is None:\n",
        ("tasks/feeding/test_shuffled_batches.py",),
    ),
    Mutant(
        "skips_of_loss_scaling_counted",
        "tasks/training/finite_guard.py",
        "return ops.logical_and(loss, ops.logical_or(_step.finite, scaled))",
        "return ops.logical_and(loss, _step.finite)",
        ("tasks/training/test_finite_guard.py",),
    ),
    Mutant(
        "one_skip_more_before_training_ends",
        "tasks/training/stop_after_skips.py",
        "if in_a_row >= self.limit:",
        "if in_a_row > self.limit:",
        ("tasks/training/test_finite_guard.py",),
    ),
    Mutant(
        "new_heads_of_another_spread",
        "tasks/task_graph.py",
        "kernel_initializer=backbone.kernel_initializer(),\n        activation",
        'kernel_initializer="glorot_uniform",\n        activation',
        ("tasks/test_initial_heads.py",),
    ),
    Mutant(
        "layer_norms_decay",
        "tasks/optimizers/adam_weight_decay.py",
        '("bias", "beta", "gamma")',
        '("bias", "beta")',
        ("tasks/optimizers/test_paper_optimizers.py",),
    ),
    Mutant(
        "biases_of_attention_do_not_decay",
        "tasks/optimizers/adam_weight_decay.py",
        'rf"(^|/)(',
        'rf"(',
        ("tasks/optimizers/test_adam_weight_decay.py", "tasks/optimizers/test_paper_optimizers.py"),
    ),
    Mutant(
        "moments_are_corrected_always",
        "tasks/optimizers/adam_weight_decay.py",
        "if self.bias_correction:",
        "if True:",
        ("tasks/optimizers/test_adam_weight_decay.py", "tasks/optimizers/test_paper_optimizers.py"),
    ),
    Mutant(
        "decay_of_gpt1_is_not_corrected",
        "tasks/optimizers/paper_optimizers.py",
        '{"epsilon": 1e-8, "corrected_decay": True}',
        '{"epsilon": 1e-8}',
        ("tasks/optimizers/test_paper_optimizers.py",),
    ),
    Mutant(
        "decay_twice",
        "tasks/optimizers/adam_weight_decay.py",
        "def _apply_weight_decay",
        "def _apply_no_weight_decay",
        ("tasks/optimizers/test_adam_weight_decay.py", "tasks/optimizers/test_paper_optimizers.py"),
    ),
    Mutant(
        "class_id_beyond_the_classes",
        "tasks/training/label_checks.py",
        "wrong = y[(y < 0) | (y >= num_classes)] if whole else y",
        "wrong = y[(y < 0) | (y > num_classes)] if whole else y",
        ("tasks/training/test_label_checks.py", "tasks/test_text_classifier.py"),
    ),
    Mutant(
        "mean_of_padding_too",
        "tasks/pooled_texts.py",
        'real = ops.cast(padding_mask, "float32")',
        'real = 0 * ops.cast(padding_mask, "float32") + 1',
        ("tasks/test_task_graph.py",),
    ),
    Mutant(
        "half_is_the_threshold_of_logits",
        "heads/head.py",
        "threshold=0.0",
        "threshold=0.5",
        ("tasks/test_text_classifier.py::test_several_classes_at_once",),
    ),
    Mutant(
        "shares_of_training_and_validation_exchanged",
        "tasks/feeding/prepared_data.py",
        "int(count * (1.0 - share))",
        "int(count * share)",
        ("tasks/feeding/test_prepared_data.py",),
    ),
    # === checkpoints of Transformer-XL ===
    Mutant(
        "columns_of_position_and_output_are_exchanged",
        "checkpoints/weight_names/transformer_xl_weights.py",
        '_attention("attention_output", "o_net", "D(HK)", "o", "(HK)D")',
        '_attention("attention_output", "o_net", "D(HK)", "o", "D(HK)")',
        ("checkpoints/families/test_transformer_xl.py",),
    ),
    Mutant(
        "the_first_projection_of_a_softmax_is_the_embedding_s",
        "checkpoints/weight_names/transformer_xl_weights.py",
        'tied == "none" or tied != "all" and n == 0',
        'tied == "none"',
        ("checkpoints/families/test_transformer_xl.py",),
    ),
    Mutant(
        "a_layer_s_missing_bias_is_that_of_another_layer",
        "checkpoints/weight_names/transformer_xl_weights.py",
        'config.get("untie_r", True) is not False or not',
        "not",
        ("checkpoints/families/test_transformer_xl.py",),
    ),
    Mutant(
        "the_gain_of_rms_norms_decays",
        "layers/norm.py",
        'name="gamma" if name == "scale" else name',
        "name=name",
        ("tasks/optimizers/test_paper_optimizers.py",),
    ),
    # === models ===
    Mutant(
        "positions_of_gpt2_as_large_as_tokens",
        "models.py",
        '{"scaled_residuals": True, "position_initializer_range": deviation / 2}',
        '{"scaled_residuals": True, "position_initializer_range": deviation}',
        ("backbones/test_initial_weights.py",),
    ),
    # === presets ===
    Mutant(
        "deferred_weights_are_made_as_frozen_as_they_are_now",
        "backbones/preset_files/deferred_weights.py",
        "now, variable.trainable = variable.trainable, trainable",
        "now = variable.trainable",
        ("backbones/preset_files/test_deferred_weights.py",),
    ),
    Mutant(
        "what_a_constructor_assigned_is_lost",
        "backbones/preset_files/deferred_weights.py",
        "            if value is not None:\n",
        "            if value is None:\n",
        ("backbones/preset_files/test_deferred_weights.py",),
    ),
    Mutant(
        "an_opened_preset_hands_out_its_own_contents",
        "presets/opened_preset.py",
        "copy.deepcopy(self._json[name])",
        "self._json[name]",
        ("presets/test_opened_preset.py",),
    ),
    Mutant(
        "made_up_classes_start_a_new_head",
        "tasks/preset_files/task_preset.py",
        "    if wrong:\n",
        "    if len(wrong) > 9:\n",
        ("tasks/test_preset_loading.py",),
    ),
    Mutant(
        "keys_and_values_of_mpnet_exchanged",
        "checkpoints/weight_names/bert_weights.py",
        'attn.k",\n    "block_{layer}/attention/value": "encoder.layer.{layer}.attention.attn.v",',
        'attn.v",\n    "block_{layer}/attention/value": "encoder.layer.{layer}.attention.attn.k",',
        (
            "checkpoints/weight_names/test_bert_weights.py",
            "checkpoints/test_transformer_checkpoint_parity.py",
        ),
    ),
    Mutant(
        "transform_of_roberta_transposed",
        "checkpoints/weight_names/bert_weights.py",
        '*part_rows("transform", DENSE, "lm_head.dense")',
        '*part_rows("transform", {"kernel": "OI", "bias": "O"}, "lm_head.dense")',
        (
            "checkpoints/weight_names/test_bert_weights.py",
            "checkpoints/test_transformer_checkpoint_parity.py",
        ),
    ),
    Mutant(
        "keys_and_values_of_gpt_exchanged",
        "checkpoints/weight_names/transformer_weights.py",
        '_FUSED = ("query", "key", "value")',
        '_FUSED = ("query", "value", "key")',
        (
            "checkpoints/families/test_gpt_weights.py",
            "checkpoints/test_transformer_checkpoint_parity.py",
        ),
    ),
    Mutant(
        "both_norms_of_gpt_are_the_second",
        "checkpoints/families/gpt.py",
        "transformer.h.{layer}.ln_1",
        "transformer.h.{layer}.ln_2",
        (
            "checkpoints/families/test_gpt_weights.py",
            "checkpoints/test_transformer_checkpoint_parity.py",
        ),
    ),
    Mutant(
        "keys_and_values_of_xlm_exchanged",
        "checkpoints/families/xlm.py",
        'k_lin",\n        "block_{layer}/attention/value": "transformer.attentions.{layer}.v_lin",',
        'v_lin",\n        "block_{layer}/attention/value": "transformer.attentions.{layer}.k_lin",',
        (
            "checkpoints/families/test_xlm_weights.py",
            "checkpoints/test_transformer_checkpoint_parity.py",
        ),
    ),
    Mutant(
        "classifiers_of_gpt_have_a_bias",
        "checkpoints/families/gpt.py",
        'SCORE = part_rows("logits", {"kernel": "IO"}, "score")',
        'SCORE = part_rows("logits", DENSE, "score")',
        ("checkpoints/families/test_gpt_weights.py",),
    ),
    Mutant(
        "index_without_an_index_is_the_first_token",
        "checkpoints/head_config.py",
        '"cls_index": "last"',
        '"cls_index": "first"',
        ("checkpoints/test_head_config.py", "checkpoints/test_checkpoint_heads.py"),
    ),
    Mutant(
        "numbers_are_taken_for_classes",
        "checkpoints/head_config.py",
        '"label": REGRESSION',
        '"label": ""',
        ("checkpoints/test_head_config.py", "checkpoints/test_checkpoint_heads.py"),
    ),
    Mutant(
        "biases_of_xlnet_exchanged",
        "checkpoints/weight_names/xlnet_weights.py",
        'biases/content_bias", "r_w_bias", "HK", "LHK"),\n'
        '    _bias("block_{layer}/attention/biases/position_bias", "r_r_bias", "HK", "LHK"),',
        'biases/content_bias", "r_r_bias", "HK", "LHK"),\n'
        '    _bias("block_{layer}/attention/biases/position_bias", "r_w_bias", "HK", "LHK"),',
        (
            "checkpoints/weight_names/test_xlnet_weights.py",
            "checkpoints/test_xlnet_checkpoint_parity.py",
        ),
    ),
    Mutant(
        "every_layer_has_the_biases_of_the_first",
        "checkpoints/conversion.py",
        '"3": self.part, "L": layer}',
        '"3": self.part, "L": 0}',
        ("checkpoints/test_conversion.py", "checkpoints/test_xlnet_checkpoint_parity.py"),
    ),
    Mutant(
        "weights_that_are_not_finite",
        "checkpoints/formats/safetensors_arrays.py",
        "np.isfinite(array).all()",
        "np.isfinite(array).any()",
        ("checkpoints/formats/test_safetensors_arrays.py",),
    ),
    Mutant(
        "a_block_more_is_passed_over",
        "checkpoints/conversion.py",
        "if _place(n) not in places",
        "if n not in places",
        ("checkpoints/test_array_check.py",),
    ),
    # === text ===
    Mutant(
        "thinned_lines_begin_with_the_second",
        "data/tokenizer_training.py",
        "islice(_from_begin(spool), 0, None, 2)",
        "islice(_from_begin(spool), 1, None, 2)",
        ("data/test_tokenizer_training.py",),
    ),
    Mutant(
        "bytes_that_wait_for_the_next_block_are_not_counted",
        "data/corpus/text_lines.py",
        "begin - kept + error.start",
        "begin + error.start",
        ("data/corpus/test_text_lines.py",),
    ),
    Mutant(
        "rows_of_a_table_may_have_more_fields",
        "data/corpus/text_records.py",
        "len(row) != len(names)",
        "len(row) < len(names)",
        ("data/corpus/test_text_records.py",),
    ),
    Mutant(
        "the_rest_of_a_block_of_json_is_lost",
        "data/corpus/text_records.py",
        "rest = self._text[self._at :]",
        "rest = self._text[self._at + 1 :]",
        ("data/corpus/test_text_records.py",),
    ),
    Mutant(
        "choices_keep_their_beginnings",
        "preprocessing/choice_preprocessor.py",
        "ids[-self.max_choice_length :]",
        "ids[: self.max_choice_length]",
        ("preprocessing/test_choice_preprocessor.py",),
    ),
    # === words ===
    Mutant(
        "single_capitals_are_marked",
        "tokenizers/words/word_rules.py",
        "if end - begin > 1 else",
        "if end - begin > 0 else",
        ("tokenizers/words/test_word_rules.py",),
    ),
    Mutant(
        "a_repetition_is_one_too_few",
        "tokenizers/words/word_rules.py",
        "len(match[2].split()) + 2",
        "len(match[2].split()) + 1",
        ("tokenizers/words/test_word_rules.py",),
    ),
    Mutant(
        "words_of_capitals_are_marked_as_capitalized",
        "tokenizers/words/word_rules.py",
        "_cased(CAPITALS)",
        "_cased(CAPITALIZED)",
        ("tokenizers/words/test_word_rules.py",),
    ),
    Mutant(
        "what_is_brought_in_covers_its_word",
        "tokenizers/words/word_rules.py",
        "new_spans += [(place, place)] * len(new)",
        "new_spans += [(place, place + 1)] * len(new)",
        ("tokenizers/words/test_word_rules.py",),
    ),
    Mutant(
        "equally_frequent_words_have_any_order",
        "tokenizers/words/word_tokenizer.py",
        "key=lambda word: (-counts[word], word)",
        "key=lambda word: -counts[word]",
        ("tokenizers/words/test_word_tokenizer.py",),
    ),
    Mutant(
        "special_words_are_found_in_texts",
        "tokenizers/words/word_tokenizer.py",
        "for word, index in ids.items() if index not in special}",
        "for word, index in ids.items()}",
        ("tokenizers/words/test_word_tokenizer.py",),
    ),
    Mutant(
        "rare_words_are_kept",
        "tokenizers/words/word_tokenizer.py",
        "if count >= min_count]",
        "if count >= 1]",
        ("tokenizers/words/test_word_tokenizer.py",),
    ),
    Mutant(
        "characters_are_not_shifted",
        "tokenizers/words/character_ids.py",
        'inner.astype("int32") + 1',
        'inner.astype("int32")',
        ("tokenizers/words/test_character_ids.py",),
    ),
    Mutant(
        "words_have_room_for_one_byte_more",
        "tokenizers/words/character_ids.py",
        "[: WORD_LENGTH - 2]",
        "[: WORD_LENGTH - 1]",
        ("tokenizers/words/test_character_ids.py",),
    ),
    Mutant(
        "begin_and_end_of_a_sentence_are_one",
        "tokenizers/words/character_ids.py",
        "SENTENCE_BEGIN, SENTENCE_END, WORD_BEGIN, WORD_END, WORD_REST = 257, 258",
        "SENTENCE_BEGIN, SENTENCE_END, WORD_BEGIN, WORD_END, WORD_REST = 257, 257",
        ("tokenizers/words/test_character_ids.py",),
    ),
    Mutant(
        "unknown_words_have_the_bytes_of_the_one_before",
        "data/examples.py",
        "corpus.vocabulary_size - 1 + unknown",
        "corpus.vocabulary_size - 2 + unknown",
        ("tokenizers/words/test_character_ids.py",),
    ),
    Mutant(
        "padding_has_characters",
        "data/examples.py",
        'characters * batch["padding_mask"][:, :, None]',
        "characters",
        ("tokenizers/words/test_character_ids.py",),
    ),
    Mutant(
        "sentences_of_a_stream_are_those_of_the_first_documents",
        "data/rows/contiguous_rows.py",
        "np.repeat(begins - first, lengths)",
        "np.repeat(0 * begins, lengths)",
        ("data/rows/test_contiguous_rows.py",),
    ),
    Mutant(
        "pickles_may_name_anything",
        "checkpoints/formats/pickle_values.py",
        "if tuple(parts) not in MAPPINGS:",
        "if parts[0] == parts[1]:",
        ("checkpoints/formats/test_pickled_vocabulary.py",),
    ),
    Mutant(
        "pickles_have_any_keys",
        "checkpoints/formats/pickle_values.py",
        "if type(key) is not str and not (type(key) is int and abs(key) < 2**31):",
        "if type(key) is list:",
        ("checkpoints/formats/test_pickled_vocabulary.py::test_other_values",),
    ),
    Mutant(
        "containers_cost_nothing",
        "checkpoints/formats/pickle_values.py",
        "CONTAINER_STEPS if name in CONTAINERS else 1",
        "1",
        ("checkpoints/formats/test_pickled_vocabulary.py",),
    ),
    Mutant(
        "pairs_are_not_counted",
        "checkpoints/formats/pickle_values.py",
        "_spend(budget, len(_of_type(items, list)))",
        "_of_type(items, list)",
        ("checkpoints/formats/test_pickled_vocabulary.py",),
    ),
    Mutant(
        "ids_may_be_missing",
        "checkpoints/formats/pickled_vocabulary.py",
        "words[index] is not None or not",
        "not",
        ("checkpoints/formats/test_pickled_vocabulary.py",),
    ),
    # === transfer ===
    Mutant(
        "decay_counted_from_step_0",
        "transfer/warmup_polynomial_decay.py",
        "/ (self.total_steps - self.warmup_steps)",
        "/ self.total_steps",
        ("transfer/test_warmup_polynomial_decay.py",),
    ),
)


class Edited(importlib.machinery.SourceFileLoader):
    """Finds and loads the one module of a mutant, from a copy of its file.

    The code has the name of the copy, where AutoGraph, which compiles functions again from the
    text, finds what was edited.
    """

    def __init__(self, mutant, copy):
        super().__init__(mutant.module, str(mutant.path))
        self.copy = copy
        copy.write_text(mutant.path.read_text("utf-8").replace(mutant.old, mutant.new), "utf-8")

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, fullname):
        return compile(self.copy.read_text("utf-8"), str(self.copy), "exec", dont_inherit=True)


class Job(NamedTuple):
    """Test files to run in a process of their own, with a mutant or, as a control, without."""

    name: str
    tests: tuple
    mutant: Mutant | None = None


class Result(NamedTuple):
    """What became of a job: "died", "lived" or "error", by which test, after how many seconds."""

    verdict: str
    killer: str
    seconds: float
    output: str


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="mutants to run; none: all")
    parser.add_argument("--fast", action="store_true", help="without the tests marked slow")
    parser.add_argument("--jobs", type=int, default=1, help="how many run at once")
    parser.add_argument("--control", action="store_true", help="the test files without mutants")
    parser.add_argument("--list", action="store_true", help="name the mutants, run nothing")
    options = parser.parse_args()
    unknown = set(options.names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"there is no mutant {sorted(unknown)}")
    mutants = [one for one in MUTANTS if not options.names or one.name in options.names]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.file:42} {mutant.name}")
        return 0
    stale = [one for one in mutants if one.path.read_text("utf-8").count(one.old) != 1]
    for mutant in stale:
        print(f"STALE {mutant.name}: its old text is not in {mutant.file} exactly once")
    if options.control:
        tests = dict.fromkeys(test for mutant in mutants for test in mutant.tests)
        jobs = [Job(test, (test,)) for test in tests]
    else:
        jobs = [Job(one.name, one.tests, one) for one in mutants if one not in stale]
    load_libraries()
    results = run(jobs, options.jobs, options.fast)
    return report(jobs, results) or bool(stale)


def load_libraries():
    """Import what takes long, and nothing of keras_plm."""
    sys.path[0] = str(ROOT)  # before an installed keras_plm; tests/ itself holds no modules
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("numpy", "pytest", "tensorflow", "keras", "keras_hub"):
        importlib.import_module(name)
    assert "keras_plm" not in sys.modules
    gc.collect()
    gc.freeze()


def run(jobs, most, fast):
    """Run jobs, so many at once; returns a dict of name to `Result`."""
    waiting, running, results = list(jobs), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < most:
                job, output = waiting.pop(0), Path(folder) / f"{len(waiting)}.txt"
                sys.stdout.flush()
                begin, process = time.perf_counter(), os.fork()
                if not process:
                    work(job, output, fast)
                running[process] = job, output, begin
            process, status = os.wait()
            job, output, begin = running.pop(process)
            code, seconds = os.waitstatus_to_exitcode(status), time.perf_counter() - begin
            result = results[job.name] = judge(code, seconds, output.read_text("utf-8", "replace"))
            print(f"{len(results):3} of {len(jobs)}  {result.verdict}  {job.name}", flush=True)
            if result.verdict == "error":
                print("\n".join(result.output.splitlines()[-20:]), flush=True)
    return results


def work(job, output, fast):
    """Run a job in a forked process, which ends here."""
    code = NOT_IMPORTED
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        signal.alarm(LONGEST)
        sys.dont_write_bytecode = True
        os.chdir(ROOT)
        if job.mutant is not None:
            sys.meta_path.insert(0, Edited(job.mutant, output.with_suffix(".py")))
        package = importlib.import_module("keras_plm")
        assert Path(package.__file__).parent == PACKAGE, package.__file__
        if job.mutant is not None:
            importlib.import_module(job.mutant.module)
        code = sys.modules["pytest"].main(
            # Not the options of pyproject.toml, which may start workers and leave out slow tests.
            ["-o", "addopts=", "--strict-markers", "--import-mode=importlib", "--color=no"]
            + ["-x", "-q", "--tb=short", "-p", "no:cacheprovider"]
            + ["-c", str(ROOT / "pyproject.toml"), "--basetemp", str(output.with_suffix(""))]
            + (["-m", "not slow"] if fast else [])
            + [str(ROOT / "tests" / test) for test in job.tests]
        )
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def judge(code, seconds, output):
    """The `Result` of an exit code and what pytest wrote."""
    failed = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    killer = failed[0].split(" ", 1)[1].split(" - ")[0].removeprefix("tests/") if failed else ""
    if code in (0, 5):  # 5: `--fast` left no test
        return Result("lived", "", seconds, output)
    if code == 1 and "::" in killer:  # else a file could not be collected
        return Result("died", killer, seconds, output)
    why = "does not import" if code == NOT_IMPORTED else f"exit code {code}"
    return Result("error", why, seconds, output)


def report(jobs, results):
    """Print the table and the sum; returns the exit code."""
    print()
    for job in jobs:
        result = results[job.name]
        file = job.mutant.file if job.mutant else ""
        known = SURVIVORS.get(job.name, "") if result.verdict == "lived" else ""
        print(
            f"{job.name:46} {file:42} {result.verdict:6} {result.seconds:6.1f} s  "
            f"{result.killer or known}"
        )
    verdicts = [result.verdict for result in results.values()]
    if all(job.mutant is None for job in jobs):
        print(f"{verdicts.count('lived')} of {len(jobs)} passed without a mutant")
        return int(verdicts.count("lived") < len(jobs))
    print(f"{verdicts.count('died')} of {len(jobs)} died")
    lived = {name for name, result in results.items() if result.verdict == "lived"}
    return int("error" in verdicts or bool(lived - set(SURVIVORS)))


if __name__ == "__main__":
    sys.exit(main())
