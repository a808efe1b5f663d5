"""`attention_diversity`: the hinge on the cosine between channels of one region."""

from sma_kernels.ops.registration import fused_operator

attention_diversity = fused_operator(
    "attention_diversity",
    arguments=("maps", "margin"),
    outputs=("diversity",),
    diversify=True,
)
