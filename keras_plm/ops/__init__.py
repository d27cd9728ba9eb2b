"""Pure functions on tensors: visibility, relative positions, gathering."""

from keras_plm.ops.adaptive_softmax import Cluster, clustered_log_probs, clustered_losses
from keras_plm.ops.attention import attend, attention_weights
from keras_plm.ops.branches import run_branch, run_loss_branch
from keras_plm.ops.dropout_masks import dropout
from keras_plm.ops.factorised_position import (
    factorised_scores,
    position_basis,
    sinusoid_frequencies,
)
from keras_plm.ops.recurrence import lstm
from keras_plm.ops.relative_position import relative_buckets, relative_gather, relative_shift
from keras_plm.ops.rows import gather_rows, real_tokens, summary_row
from keras_plm.ops.sampled_softmax import (
    draw_candidates,
    log_expected_counts,
    log_uniform_probabilities,
    sampled_softmax_losses,
)
from keras_plm.ops.visibility import (
    content_visibility,
    hide_masked,
    mask_of_keys,
    query_visibility,
)

__all__ = [
    "Cluster",
    "attend",
    "attention_weights",
    "clustered_log_probs",
    "clustered_losses",
    "content_visibility",
    "draw_candidates",
    "dropout",
    "factorised_scores",
    "gather_rows",
    "hide_masked",
    "log_expected_counts",
    "log_uniform_probabilities",
    "lstm",
    "mask_of_keys",
    "position_basis",
    "query_visibility",
    "real_tokens",
    "relative_buckets",
    "relative_gather",
    "relative_shift",
    "run_branch",
    "run_loss_branch",
    "sampled_softmax_losses",
    "sinusoid_frequencies",
    "summary_row",
]
