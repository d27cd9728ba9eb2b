"""Pure functions on tensors: visibility, relative positions, gathering."""

from keras_plm.ops.gathering import gather_rows
from keras_plm.ops.relative_position import relative_gather, relative_shift
from keras_plm.ops.visibility import content_visibility, query_visibility

__all__ = [
    "content_visibility",
    "gather_rows",
    "query_visibility",
    "relative_gather",
    "relative_shift",
]
