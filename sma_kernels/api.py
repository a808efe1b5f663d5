"""The public functions: each builds the record of the call, checks it, and hands it to an operator or the reference."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree

from sma_kernels import backends, checks, fast_path, ops, reference
from sma_kernels.args import AttentionArgs, inputs_by_name, split_scalar
from sma_kernels.ops.registration import AUTOCAST_FIELDS, to_autocast_dtype


class SMAOutput(NamedTuple):
    """Outputs of `sma_attention`. B batch, R regions, K channels per region, N = R*K, C value channels.

    pooled:      [B,R,C], with merge="none" [B,R,K,C], in the dtype of the inputs
    attention:   [B,R,H,W], with merge="none" [B,R,K,H,W]: the maps after refinement and merge, same dtype
    maps:        [B,R,K,H,W]: the maps before refinement, same dtype
    diversity:   [B], float32 (float64 for float64 inputs): the regulariser of each sample, to be minimised
    correlation: [B,N,N], float32 (float64): row n holds the weights of all maps in the refined map n
    """

    pooled: Tensor
    attention: Tensor
    maps: Tensor
    diversity: Tensor
    correlation: Tensor


# torch.export.save writes this name, and torch.export.load resolves it once this package is imported.
_pytree._register_namedtuple(SMAOutput, serialized_type_name="sma_kernels.SMAOutput")


def sma_attention(
    values: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    temperature: float | Tensor = 0.1,
    gate: float | Tensor = 0.5,
    relation_bias: Tensor | None = None,
    activation: str = "softmax",
    merge: str = "max",
    margin: float = 0.5,
    backend: str = "auto",
) -> SMAOutput:
    """Self-diversified multi-channel attention: maps, their diversity and correlation, and pooled values.

    values:        [B,C,H,W], float32, bfloat16, float16 (or float64 on `reference` and `cpu`)
    features:      [B,G*D,H,W], same dtype; G = 1 (shared by all channels) or G = K (one group per channel)
    weight:        [R,K,D], bias: [R,K]; like all parameters in float32 or in the dtype of the inputs
    mask:          [B,H,W], bool, True where a position is valid. The maps are 0 elsewhere, and whatever `values` and
                   `features` hold there changes nothing; their gradients there are 0. A sample without a valid position has
                   maps and pooled values 0
    temperature:   softmax temperature of the correlation, a float > 0, or a 0-d tensor (its value is not checked)
    gate:          strength of the refinement, a float in [0,1], or a 0-d tensor (its value is not checked)
    relation_bias: [R*K,R*K], added to the scores of the correlation
    activation:    "softmax" over positions, or "sigmoid"
    merge:         "max", "mean" or "none" over the channels of a region
    margin:        cosine above which two channels of one region are pushed apart
    backend:       "auto", "reference", "cpu", "triton" or "cuda"; an explicit one runs or raises. With meta tensors,
                   every backend only infers shapes and dtypes, as the reference does

    Returns an SMAOutput; every field is differentiable with respect to every tensor input.
    Raises TypeError and ValueError that name the argument, RuntimeError if `backend` cannot run the call or the storage of an
    argument was freed or shrunk.
    The formulation is this project's own; the README lists the publications that it builds on.
    """
    t, t_tensor = split_scalar(temperature)
    g, g_tensor = split_scalar(gate)
    # By position, as in the fast path every microsecond counts.
    args = AttentionArgs(
        values,
        features,
        None,
        weight,
        bias,
        t,
        t_tensor,
        g,
        g_tensor,
        relation_bias,
        mask,
        activation,
        merge,
        margin,
        True,
        True,
    )
    outputs = fast_path.sma_attention(args, backend)
    if outputs is None:
        _check_attention(args)
        outputs = _run(ops.sma_attention, reference.sma_attention, args, backend)[:5]
    return SMAOutput(*outputs)


def multi_channel_attention(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    activation: str = "softmax",
    backend: str = "auto",
) -> Tensor:
    """Attention maps [B,R,K,H,W] of features [B,G*D,H,W] under weight [R,K,D] and bias [R,K]; 0 where mask [B,H,W] is False.

    Arguments, dtypes and errors as in `sma_attention`.
    """
    args = AttentionArgs(features=features, weight=weight, bias=bias, mask=mask, activation=activation)
    _check_embedding(args, checks.tensor("features", features, "B,G*D,H,W"))
    return _run(ops.multi_channel_attention, reference.multi_channel_attention, args, backend)


def attention_diversity(maps: Tensor, *, margin: float = 0.5, backend: str = "auto") -> Tensor:
    """Diversity regulariser [B] of non-negative maps [B,R,K,H,W]: the mean over ordered pairs of channels of one
    region of max(0, cos - margin); 0 if K = 1. In float32 (float64 for float64 maps).

    The hinge follows CMCS (CVPR 2019), the pairwise cosine Li et al. (EMNLP 2018). Errors as in `sma_attention`.
    """
    args = AttentionArgs(maps=maps, margin=margin, diversify=True)
    checks.tensor("maps", maps, "B,R,K,H,W")
    checks.margin(margin)
    return _run(ops.attention_diversity, reference.attention_diversity, args, backend)


def correlate_attention(
    maps: Tensor,
    *,
    temperature: float | Tensor = 0.1,
    gate: float | Tensor = 0.5,
    relation_bias: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Refined maps [B,R,K,H,W] and correlation [B,N,N] of non-negative maps [B,R,K,H,W].

    Channel attention (DANet, CVPR 2019) applied to attention maps. Arguments, dtypes and errors as in
    `sma_attention`.
    """
    t, t_tensor = split_scalar(temperature)
    g, g_tensor = split_scalar(gate)
    args = AttentionArgs(
        maps=maps,
        temperature=t,
        temperature_tensor=t_tensor,
        gate=g,
        gate_tensor=g_tensor,
        relation_bias=relation_bias,
        correlate=True,
    )
    checks.tensor("maps", maps, "B,R,K,H,W")
    _check_relation(args)
    return _run(ops.correlate_attention, reference.correlate_attention, args, backend)


def attention_pool(values: Tensor, maps: Tensor, *, merge: str = "max", backend: str = "auto") -> tuple[Tensor, Tensor]:
    """(pooled, attention): values [B,C,H,W] averaged under non-negative maps [B,R,K,H,W] merged over K.

    pooled is [B,R,C] and attention [B,R,H,W]; with merge="none" pooled is [B,R,K,C] and attention is `maps` itself.
    The maximum over channels follows TransFER (ICCV 2021). Dtypes and errors as in `sma_attention`.
    """
    args = AttentionArgs(values=values, maps=maps, merge=merge)
    checks.tensor("values", values, "B,C,H,W")
    checks.tensor("maps", maps, "B,R,K,H,W", values.device)
    checks.same_dtype("values", values, "maps", maps)
    checks.same_grid("values", values, "maps", maps)
    checks.one_of("merge", merge, checks.MERGES)
    pooled, attention, *_ = _run(ops.attention_pool, reference.attention_pool, args, backend)
    return pooled, args.grid if merge == "none" else attention


def explain_backends(
    values: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    merge: str = "max",
    **settings: Any,
) -> dict[str, list[str]]:
    """Why each backend cannot run `sma_attention` on these arguments: {name: reasons}; an empty list means it can.

    Accepts the arguments of `sma_attention` and raises the same errors for invalid ones.
    """
    settings.pop("backend", None)
    t, t_tensor = split_scalar(settings.pop("temperature", 0.1))
    g, g_tensor = split_scalar(settings.pop("gate", 0.5))
    settings.update(temperature=t, temperature_tensor=t_tensor, gate=g, gate_tensor=g_tensor)
    args = AttentionArgs(values=values, features=features, weight=weight, bias=bias, merge=merge, **settings)
    _check_attention(args)
    return backends.explain(args)


def _run(operator: Callable, formula: Callable, args: AttentionArgs, backend: str) -> Any:
    """The outputs of the registered operator, or of plain PyTorch if no fused backend runs the call."""
    checks.one_of("backend", backend, backends.NAMES)
    if not backends.uses_reference(backend, args):
        return operator(args, backend)
    if not torch.compiler.is_compiling():
        checks.memory(**inputs_by_name(args))
    if reference.autocasts(args.grid.device):
        _autocast(args)
    return formula(args)


def _autocast(args: AttentionArgs) -> None:
    for field in AUTOCAST_FIELDS:
        tensor = getattr(args, field)
        if tensor is not None:
            setattr(args, field, to_autocast_dtype(tensor))


def _check_attention(args: AttentionArgs) -> None:
    values = checks.tensor("values", args.values, "B,C,H,W")
    features = checks.tensor("features", args.features, "B,G*D,H,W", values.device)
    checks.same_dtype("values", values, "features", features)
    checks.same_grid("values", values, "features", features)
    _check_embedding(args, features)
    _check_relation(args)
    checks.one_of("merge", args.merge, checks.MERGES)
    checks.margin(args.margin)


def _check_embedding(args: AttentionArgs, features: Tensor) -> None:
    """Checks weight, bias and activation against features that have already been checked."""
    weight = checks.tensor("weight", args.weight, "R,K,D", features.device)
    checks.parameter_dtype("weight", weight, features.dtype)
    checks.groups(features, weight)
    checks.parameter("bias", args.bias, (args.regions, args.channels), features.dtype, features.device)
    checks.mask(args.mask, "features", features)
    checks.one_of("activation", args.activation, checks.ACTIVATIONS)


def _check_relation(args: AttentionArgs) -> None:
    grid, total = args.grid, args.regions * args.channels
    dtype, device = grid.dtype, grid.device
    checks.temperature(args.temperature_value, dtype, device)
    checks.gate(args.gate_value, dtype, device)
    checks.parameter("relation_bias", args.relation_bias, (total, total), dtype, device)
