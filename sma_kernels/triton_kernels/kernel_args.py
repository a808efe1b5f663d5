"""Arguments of the kernels, grouped: sizes known at compile time, and pointers that are used together.

`Tile`, `PoolTile`, `Layout` and `ParamOffsets` are each passed as one `tl.constexpr`. The other records are tuples of pointers
and numbers; a pointer is None if the call has no such tensor, and code that needs it is removed at compile time. No member may
be called `values` or `type`: Triton's own tuples have these.
B samples, R regions, K channels, N = R*K maps, G feature groups of D features, L positions, C channels of the values;
A rows of attention: R, or N with merge "none". T is the dtype of the call.
"""

from typing import Any, NamedTuple


class Tile(NamedTuple):
    """Compile-time sizes and settings of a kernel on tiles of maps [K_PAD*R_PAD, BLOCK_L]."""

    R: int
    K: int
    N: int
    A: int
    D: int
    G: int
    R_PAD: int
    K_PAD: int
    ROWS: int  # K_PAD * R_PAD
    BLOCK_L: int
    CHUNK_L: int  # positions of a program, a multiple of BLOCK_L; 0 if it walks all of them
    BLOCK_D: int  # features of one product for logits
    PART_D: int  # features whose gradient one program writes
    SOFTMAX: bool
    MERGE: str
    DOT_DTYPE: Any  # operands of products with gradients or values
    PRECISION: str


class PoolTile(NamedTuple):
    """Compile-time sizes of the kernels that stream the values; sizes that a kernel does not use are 0."""

    A: int
    A_PAD: int
    SLICE_C: int
    CHUNK_L: int
    BLOCK_A: int
    BLOCK_C: int
    BLOCK_L: int
    DOT_DTYPE: Any
    PRECISION: str


class Layout(NamedTuple):
    """Memory format of a dense [B,C,L] tensor."""

    LAST: bool  # channels_last: rows of C instead of L
    VEC: int  # elements of the widest aligned load, at most 16 bytes


class ParamOffsets(NamedTuple):
    """Where each parameter's gradient starts in the partial sums of one sample; -1 if not needed."""

    WEIGHT: int
    BIAS: int
    RELATION_BIAS: int
    TEMPERATURE: int
    GATE: int
    NUMEL: int  # length of one sample's partial sums


class DenseMap(NamedTuple):
    """A [B,C,L] tensor whose samples are dense; see Layout."""

    data: Any  # T, or None
    batch_stride: Any
    row_stride: Any


class Scalar(NamedTuple):
    """A float, or the 0-d tensor used instead."""

    tensor: Any  # [] or None
    value: Any


class MapInputs(NamedTuple):
    """Features and parameters from which the maps are computed, or the maps themselves."""

    features: Any  # T [B,G*D,L] or None
    maps: Any  # T [B,N,L], without features
    weight: Any  # [R,K,D] or None
    bias: Any  # [R,K] or None
    mask: Any  # bool [B,L]: True at valid positions; None if all are
    batch_stride: Any  # of the features
    row_stride: Any


class MapSource(NamedTuple):
    """MapInputs of one sample, with strides by channel and position. Built inside a kernel."""

    features: Any  # T [G*D,L] or None
    maps: Any  # T [N,L], without features
    weight: Any
    bias: Any
    mask: Any  # bool [L] or None
    channel_stride: Any
    position_stride: Any


class ForwardOutputs(NamedTuple):
    """Outputs of the kernels that write attention; None where the call has none."""

    pooled: Any  # T [B,A,C]
    attention: Any  # T [B,A,L]
    maps: Any  # T [B,N,L]
    diversity: Any  # float32 [B]
    correlation: Any  # float32 [B,N,N]
    attention_sum: Any  # float32 [B,A]
    argmax: Any  # uint8 [B,R,L]


class ValueGrads(NamedTuple):
    """Outputs of the backward of the pooling: the gradient of the values, and partial gradients of A."""

    data: Any  # T [B,C,L] or None
    partial_attention: Any  # float32 [B,slices,A,L] or None
    partial_delta: Any  # float32 [B,partials,A], with partial_attention
    batch_stride: Any  # of `data`
    row_stride: Any


class GradSource(NamedTuple):
    """Gradients of A and of the maps. The gradient of A is the sum of `attention` and the partial gradients of the pooling."""

    attention: Any  # T [B,A,L] or None
    partial_attention: Any  # float32 [B,slices,A,L] or None
    partial_delta: Any  # float32 [B,partials,A], with partial_attention
    maps: Any  # T [B,N,L] or None
    argmax: Any  # uint8 [B,R,L], with merge "max"
    slices: Any
    partials: Any


class MapGrads(NamedTuple):
    """Outputs of the backward of the maps."""

    features: Any  # T [B,G*D,L] or None
    maps: Any  # T [B,N,L] or None
    partial: (
        Any  # float32 [B,NUMEL] or None: parameter gradients, at ParamOffsets; B counts samples, or chunks of positions
    )
    batch_stride: Any  # of the features' gradient
    row_stride: Any


class ParamGrads(NamedTuple):
    """Parameter gradients, None where not needed."""

    weight: Any  # [N*D]
    bias: Any  # [N]
    relation_bias: Any  # [N*N]
    temperature: Any  # [1]
    gate: Any  # [1]


class Moments(NamedTuple):
    """Sums over positions that the blocked path keeps in memory; None where not needed."""

    gram: Any  # float32 [B,N,N]: m m^T
    products: Any  # float32 [B,N,N]: P = dm' m^T
    statistics: Any  # float32 [B,2,N]: row maximum of the logits, and 1 / sum exp(z - maximum)
    delta: Any  # float32 [B,N]: sum_l m * (dMaps, and dm' without a refinement)

    # Of chunks of positions, B counts the chunks of all samples. Sums are relative to the chunk's own maximum, and
    # `statistics` is [B,3,N]: maximum, sum exp(z - maximum), number of valid positions.
