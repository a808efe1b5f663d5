"""`sma_attention`: maps, diversity, correlation, refinement, merge and pooling in one operator."""

from sma_kernels.ops.registration import fused_operator

sma_attention = fused_operator(
    "sma_attention",
    arguments=(
        *("values", "features", "weight", "bias", "temperature", "temperature_tensor", "gate", "gate_tensor"),
        *("relation_bias", "activation", "merge", "margin"),
    ),
    outputs=("pooled", "attention", "maps", "diversity", "correlation"),
    kept=("attention_sum", "winner"),
    diversify=True,
    correlate=True,
)
