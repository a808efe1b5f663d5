"""`attention_pool`: the channels of a region merged, and the values pooled under the result."""

from sma_kernels.ops.registration import register_operator

SCHEMA = """attention_pool(Tensor values, Tensor maps, str merge, str backend) -> (
    Tensor pooled, Tensor attention, Tensor attention_sum, Tensor winner
)"""

attention_pool = register_operator(SCHEMA)
