"""`multi_channel_attention`: K attention maps a region, from the features."""

from sma_kernels.ops.registration import fused_operator

multi_channel_attention = fused_operator(
    "multi_channel_attention",
    arguments=("features", "weight", "bias", "activation"),
    outputs=("maps",),
)
