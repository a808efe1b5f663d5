"""`attention_diversity`: the hinge on the cosine between the channels of one region."""

from sma_kernels.ops.registration import register_operator

SCHEMA = "attention_diversity(Tensor maps, float margin, str backend) -> (Tensor diversity)"

attention_diversity = register_operator(SCHEMA, diversify=True)
