"""`attention_pool`: channels of a region merged, and the values pooled under the result."""

from sma_kernels.ops.registration import fused_operator

attention_pool = fused_operator(
    "attention_pool",
    arguments=("values", "maps", "merge"),
    outputs=("pooled", "attention"),
    kept=("attention_sum", "winner"),
)
