"""The registered operators, one file each: schema, fake, kernel, autograd, autocast. Nothing here but torch."""

from sma_kernels.ops import (
    attention_diversity,
    attention_pool,
    correlate_attention,
    multi_channel_attention,
    sma_attention,
)

__all__ = [
    "attention_diversity",
    "attention_pool",
    "correlate_attention",
    "multi_channel_attention",
    "sma_attention",
]
