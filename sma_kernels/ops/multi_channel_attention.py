"""`multi_channel_attention`: K attention maps per region, from the features."""

from sma_kernels.ops.registration import register_operator

SCHEMA = """multi_channel_attention(
    Tensor features, Tensor weight, Tensor? bias, Tensor? mask, str activation, str backend
) -> (Tensor maps)"""

multi_channel_attention = register_operator(SCHEMA)
