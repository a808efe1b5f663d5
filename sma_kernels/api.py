"""The public functions: they check, choose the reference or an operator, and name the outputs."""

from typing import NamedTuple

from torch import Tensor
from torch.utils import _pytree

from sma_kernels import backends, checks, fast_path, ops, reference
from sma_kernels.args import Head
from sma_kernels.ops.registration import to_autocast_dtype


class SMAOutput(NamedTuple):
    """What `sma_attention` returns. B batch, R regions, K channels per region, N = R*K, C value channels.

    pooled:      [B,R,C], with merge="none" [B,R,K,C], in the dtype of the inputs
    attention:   [B,R,H,W], with merge="none" [B,R,K,H,W]: the maps after refinement and merge, same dtype
    maps:        [B,R,K,H,W]: the maps before refinement, same dtype
    diversity:   [B], float32 (float64 for float64 inputs): the regulariser of each sample, to be minimised
    correlation: [B,N,N], float32 (float64): row n says how much of every map goes into the refined map n
    """

    pooled: Tensor
    attention: Tensor
    maps: Tensor
    diversity: Tensor
    correlation: Tensor


# Under this name torch.export.save writes it, and torch.export.load finds it once this package is imported.
_pytree._register_namedtuple(SMAOutput, serialized_type_name="sma_kernels.SMAOutput")


def sma_attention(
    values: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
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
    temperature:   softmax temperature of the correlation, a float > 0 or a 0-d tensor (never checked)
    gate:          how far refinement moves the maps, a float in [0,1] or a 0-d tensor (never checked)
    relation_bias: [R*K,R*K], added to the scores of the correlation
    activation:    "softmax" over positions, or "sigmoid"
    merge:         "max", "mean" or "none" over the channels of a region
    margin:        cosine above which two channels of one region are pushed apart
    backend:       "auto", "reference", "cpu", "triton" or "cuda"; an explicit one runs or raises. Meta tensors hold no
                   numbers to run on: whatever the backend, shapes and dtypes are those of the reference

    Returns an SMAOutput; every field is differentiable with respect to every tensor input.
    Raises TypeError and ValueError that name the argument, RuntimeError if `backend` cannot run the call or the storage of an
    argument was freed or cut short.
    The formulation is this project's; see the README for what it takes from which publication.
    """
    outputs = fast_path.sma_attention(
        values, features, weight, bias, temperature, gate, relation_bias, activation, merge, margin, backend
    )
    if outputs is not None:
        return SMAOutput(*outputs)
    _check_attention(values, features, weight, bias, temperature, gate, relation_bias, activation, merge, margin)
    checks.one_of("backend", backend, backends.NAMES)
    t, t_tensor = _split(temperature)
    g, g_tensor = _split(gate)
    head = Head(
        *(values, features, None, weight, bias, t, t_tensor, g, g_tensor, relation_bias),
        *(activation, merge, float(margin), True, True),
    )
    if backends.uses_reference(backend, head):
        checks.memory(values=values, features=features, weight=weight, bias=bias)
        checks.memory(temperature=temperature, gate=gate, relation_bias=relation_bias)
        values, features = _autocast(values), _autocast(features)
        return SMAOutput(
            *reference.sma_attention(
                values, features, weight, bias, temperature, gate, relation_bias, activation, merge, margin
            )
        )
    found = ops.sma_attention(
        *(values, features, weight, bias, t, t_tensor, g, g_tensor, relation_bias),
        *(activation, merge, float(margin), backend),
    )
    return SMAOutput(*found[:5])


def multi_channel_attention(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    activation: str = "softmax",
    backend: str = "auto",
) -> Tensor:
    """Attention maps [B,R,K,H,W] of features [B,G*D,H,W] under weight [R,K,D] and bias [R,K].

    Arguments, dtypes and errors as in `sma_attention`.
    """
    _check_maps_inputs(features, weight, bias, activation)
    checks.one_of("backend", backend, backends.NAMES)
    if backends.uses_reference(backend, Head(features=features, weight=weight, bias=bias, activation=activation)):
        checks.memory(features=features, weight=weight, bias=bias)
        return reference.multi_channel_attention(_autocast(features), weight, bias, activation)
    return ops.multi_channel_attention(features, weight, bias, activation, backend)


def attention_diversity(maps: Tensor, *, margin: float = 0.5, backend: str = "auto") -> Tensor:
    """Diversity regulariser [B] of non-negative maps [B,R,K,H,W]: the mean over ordered pairs of channels of one
    region of max(0, cos - margin); 0 if K = 1. In float32 (float64 for float64 maps).

    The hinge follows CMCS (CVPR 2019), the pairwise cosine Li et al. (EMNLP 2018). Errors as in `sma_attention`.
    """
    checks.tensor("maps", maps, "B,R,K,H,W")
    checks.margin(margin)
    checks.one_of("backend", backend, backends.NAMES)
    if backends.uses_reference(backend, Head(maps=maps, diversify=True)):
        checks.memory(maps=maps)
        return reference.attention_diversity(_autocast(maps), margin)
    return ops.attention_diversity(maps, float(margin), backend)


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
    checks.tensor("maps", maps, "B,R,K,H,W")
    total = maps.shape[1] * maps.shape[2]
    _check_relation(temperature, gate, relation_bias, total, maps.dtype, maps.device)
    checks.one_of("backend", backend, backends.NAMES)
    t, t_tensor = _split(temperature)
    g, g_tensor = _split(gate)
    if backends.uses_reference(backend, Head(maps=maps, correlate=True)):
        checks.memory(maps=maps, temperature=temperature, gate=gate, relation_bias=relation_bias)
        return reference.correlate_attention(_autocast(maps), temperature, gate, relation_bias)
    return ops.correlate_attention(maps, t, t_tensor, g, g_tensor, relation_bias, backend)


def attention_pool(values: Tensor, maps: Tensor, *, merge: str = "max", backend: str = "auto") -> tuple[Tensor, Tensor]:
    """(pooled, attention): values [B,C,H,W] averaged under non-negative maps [B,R,K,H,W] merged over K.

    pooled is [B,R,C] and attention [B,R,H,W]; with merge="none" pooled is [B,R,K,C] and attention is `maps` itself.
    The maximum over channels follows TransFER (ICCV 2021). Dtypes and errors as in `sma_attention`.
    """
    checks.tensor("values", values, "B,C,H,W")
    checks.tensor("maps", maps, "B,R,K,H,W", values.device)
    checks.same_dtype("values", values, "maps", maps)
    checks.same_grid("values", values, "maps", maps)
    checks.one_of("merge", merge, checks.MERGES)
    checks.one_of("backend", backend, backends.NAMES)
    if backends.uses_reference(backend, Head(values=values, maps=maps, merge=merge)):
        checks.memory(values=values, maps=maps)
        return reference.attention_pool(_autocast(values), _autocast(maps), merge)
    pooled, attention, _, _ = ops.attention_pool(values, maps, merge, backend)
    return pooled, maps if merge == "none" else attention


def explain_backends(
    values: Tensor, features: Tensor, weight: Tensor, bias: Tensor | None = None, *, merge: str = "max", **settings
) -> dict[str, list[str]]:
    """Why each backend cannot run `sma_attention` on these arguments: {name: reasons}; an empty list means it can.

    Takes the arguments of `sma_attention` and raises its errors.
    """
    settings = {
        "temperature": 0.1,
        "gate": 0.5,
        "relation_bias": None,
        "activation": "softmax",
        "margin": 0.5,
        **settings,
    }
    settings.pop("backend", None)
    _check_attention(values, features, weight, bias, merge=merge, **settings)
    return backends.explain(Head(values=values, features=features, weight=weight, bias=bias, merge=merge))


def _split(scalar: float | Tensor) -> tuple[float, Tensor | None]:
    """A schema's pair for an argument that is a float or a 0-d tensor."""
    return (0.0, scalar) if isinstance(scalar, Tensor) else (float(scalar), None)


def _autocast(tensor: Tensor) -> Tensor:
    return to_autocast_dtype(tensor) if reference.autocasts(tensor.device) else tensor


def _check_maps_inputs(features: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> None:
    checks.tensor("features", features, "B,G*D,H,W")
    checks.tensor("weight", weight, "R,K,D", features.device)
    checks.parameter_dtype("weight", weight, features.dtype)
    checks.groups(features, weight)
    checks.parameter("bias", bias, (weight.shape[0], weight.shape[1]), features.dtype, features.device)
    checks.one_of("activation", activation, checks.ACTIVATIONS)


def _check_relation(temperature, gate, relation_bias, total: int, dtype, device) -> None:
    checks.temperature(temperature, dtype, device)
    checks.gate(gate, dtype, device)
    checks.parameter("relation_bias", relation_bias, (total, total), dtype, device)


def _check_attention(
    values, features, weight, bias, temperature, gate, relation_bias, activation, merge, margin
) -> None:
    checks.tensor("values", values, "B,C,H,W")
    checks.tensor("features", features, "B,G*D,H,W", values.device)
    checks.same_dtype("values", values, "features", features)
    checks.same_grid("values", values, "features", features)
    _check_maps_inputs(features, weight, bias, activation)
    total = weight.shape[0] * weight.shape[1]
    _check_relation(temperature, gate, relation_bias, total, values.dtype, values.device)
    checks.one_of("merge", merge, checks.MERGES)
    checks.margin(margin)
