"""`correlate_attention`: correlation of all maps with one another, and the maps refined by it."""

from sma_kernels.ops.registration import fused_operator

correlate_attention = fused_operator(
    "correlate_attention",
    arguments=("maps", "temperature", "temperature_tensor", "gate", "gate_tensor", "relation_bias"),
    outputs=("attention", "correlation"),
    correlate=True,
)
