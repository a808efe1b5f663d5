"""`sma_attention`: maps, diversity, correlation, refinement, merge and pooling in one operator."""

from sma_kernels.ops.registration import register_operator

SCHEMA = """sma_attention(
    Tensor values, Tensor features, Tensor weight, Tensor? bias, float temperature, Tensor? temperature_tensor,
    float gate, Tensor? gate_tensor, Tensor? relation_bias, Tensor? mask, str activation, str merge, float margin,
    str backend
) -> (
    Tensor pooled, Tensor attention, Tensor maps, Tensor diversity, Tensor correlation,
    Tensor attention_sum, Tensor winner
)"""

sma_attention = register_operator(SCHEMA, diversify=True, correlate=True)
