"""The registered operators, one file each with its schema. They import only torch; a kernel loads the backends when
it is called."""

from sma_kernels.ops.attention_diversity import attention_diversity
from sma_kernels.ops.attention_pool import attention_pool
from sma_kernels.ops.correlate_attention import correlate_attention
from sma_kernels.ops.multi_channel_attention import multi_channel_attention
from sma_kernels.ops.sma_attention import sma_attention

__all__ = [
    "attention_diversity",
    "attention_pool",
    "correlate_attention",
    "multi_channel_attention",
    "sma_attention",
]
