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
from sma_kernels.version import __version__

__all__ = [
    "SMAAttention",
    "SMAOutput",
    "__version__",
    "attention_diversity",
    "attention_pool",
    "correlate_attention",
    "explain_backends",
    "multi_channel_attention",
    "sma_attention",
]
