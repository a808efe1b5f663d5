"""`correlate_attention`: the correlation of all maps with one another, and the maps refined by it."""

from sma_kernels.ops.registration import register_operator

SCHEMA = """correlate_attention(
    Tensor maps, float temperature, Tensor? temperature_tensor, float gate, Tensor? gate_tensor, Tensor? relation_bias,
    str backend
) -> (Tensor attention, Tensor correlation)"""

correlate_attention = register_operator(SCHEMA, correlate=True)
