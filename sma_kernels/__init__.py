"""Fused, differentiable attention operators for facial action analysis; see `sma_attention`."""

from sma_kernels.api import (
    SMAOutput,
    attention_diversity,
    attention_pool,
    correlate_attention,
    explain_backends,
    multi_channel_attention,
    sma_attention,
)
from sma_kernels.modules import SMAAttention

__version__ = "0.1.0"
__all__ = [
    "SMAAttention",
    "SMAOutput",
    "attention_diversity",
    "attention_pool",
    "correlate_attention",
    "explain_backends",
    "multi_channel_attention",
    "sma_attention",
]
