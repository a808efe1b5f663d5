"""`SMAAttention`: the operator as a module, between the feature map of a backbone and the classifiers of the regions."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sma_kernels import checks
from sma_kernels.api import SMAOutput, correlate_attention, sma_attention
from sma_kernels.args import accum_dtype
from sma_kernels.reference import valid_only


class SMAAttention(nn.Module):
    """Self-diversified multi-channel attention over a feature map.

    in_channels:       C of the input [B,C,H,W]
    regions:           R, one per action unit or expression class
    channels:          K attention channels per region
    embed_dim:         D, embedding width of a feature group
    activation, merge, margin, backend: as in `sma_attention`
    shared_features:   one feature group for all channels (G = 1, the unconstrained baseline) instead of one per channel
    correlate:         False leaves the maps unrefined (gate 0); the correlation is still returned
    temperature, gate: initial values of the learned temperature and gate, or their values if they are fixed
    learn_correlation: learn temperature, gate and a relation bias [N,N] (see `no_weight_decay`)
    device, dtype:     of the parameters, as in the modules of torch.nn

    forward(x [B,in_channels,H,W], mask [B,H,W] = None) -> SMAOutput; features are a 1x1 convolution, batch norm and ReLU of x,
    values are x. `mask` as in `sma_attention`: what x holds at invalid positions changes nothing, not even the statistics of
    the batch norm.
    Raises TypeError and ValueError that name the argument.
    """

    def __init__(
        self,
        in_channels: int,
        regions: int,
        channels: int = 4,
        embed_dim: int = 64,
        *,
        activation: str = "softmax",
        merge: str = "max",
        margin: float = 0.5,
        shared_features: bool = False,
        correlate: bool = True,
        temperature: float = 0.1,
        gate: float = 0.5,
        learn_correlation: bool = True,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        for name, size in (
            ("in_channels", in_channels),
            ("regions", regions),
            ("channels", channels),
            ("embed_dim", embed_dim),
        ):
            if size < 1:
                raise ValueError(f"{name} must be at least 1; got {size}")
        checks.one_of("activation", activation, checks.ACTIVATIONS)
        checks.one_of("merge", merge, checks.MERGES)
        checks.temperature(temperature, torch.float32, torch.device("cpu"))
        checks.gate(gate, torch.float32, torch.device("cpu"))
        checks.margin(margin)
        self.learns_correlation = correlate and learn_correlation
        if self.learns_correlation and not 0 < gate < 1:
            raise ValueError(f"gate must lie inside (0, 1) to be learned (it is a sigmoid); got {gate}")
        self.activation, self.merge, self.margin, self.backend = activation, merge, margin, backend
        groups = 1 if shared_features else channels
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.embed = nn.Sequential(
            nn.Conv2d(in_channels, groups * embed_dim, 1, bias=False, **factory),
            nn.BatchNorm2d(groups * embed_dim, **factory),
            nn.ReLU(inplace=True),
        )
        self.weight = nn.Parameter(torch.empty(regions, channels, embed_dim, **factory))
        self.bias = nn.Parameter(torch.empty(regions, channels, **factory))
        self.fixed_temperature, self.fixed_gate = temperature, gate if correlate else 0.0
        if self.learns_correlation:
            # One-element vectors, because FSDP cannot shard 0-d parameters.
            self.log_temperature = nn.Parameter(torch.empty(1, **factory))
            self.gate_logit = nn.Parameter(torch.empty(1, **factory))
            self.relation_bias = nn.Parameter(torch.empty(regions * channels, regions * channels, **factory))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialize the parameters again, except those of `embed`, whose modules have their own `reset_parameters`."""
        nn.init.normal_(self.weight).div_(math.sqrt(self.weight.shape[2]))
        nn.init.zeros_(self.bias)
        if self.learns_correlation:
            nn.init.constant_(self.log_temperature, math.log(self.fixed_temperature))
            nn.init.constant_(self.gate_logit, math.log(self.fixed_gate / (1 - self.fixed_gate)))
            nn.init.zeros_(self.relation_bias)

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that an optimiser must not decay (timm's convention)."""
        return {"log_temperature", "gate_logit", "relation_bias"} if self.learns_correlation else set()

    @property
    def temperature(self) -> float | Tensor:
        checks.memory(log_temperature=self.log_temperature if self.learns_correlation else None)
        return self.log_temperature[0].exp() if self.learns_correlation else self.fixed_temperature

    @property
    def gate(self) -> float | Tensor:
        checks.memory(gate_logit=self.gate_logit if self.learns_correlation else None)
        return self.gate_logit[0].sigmoid() if self.learns_correlation else self.fixed_gate

    def forward(self, x: Tensor, mask: Tensor | None = None) -> SMAOutput:
        checks.tensor("x", x, "B,C,H,W")
        checks.mask(mask, "x", x)
        checks.memory(x=x, mask=mask)
        features = self.embed(x) if mask is None else self._embed_valid(x, mask)
        return sma_attention(
            x if x.dtype == features.dtype else x.to(features.dtype),
            features,
            self.weight,
            self.bias,
            mask=mask,
            temperature=self.temperature,
            gate=self.gate,
            relation_bias=self.relation_bias if self.learns_correlation else None,
            activation=self.activation,
            merge=self.merge,
            margin=self.margin,
            backend=self.backend,
        )

    def _embed_valid(self, x: Tensor, mask: Tensor) -> Tensor:
        """`embed` of the valid positions. In training they are embedded alone, as invalid ones would change the statistics of
        the batch norm."""
        if not self.training:
            return self.embed(valid_only(x, mask))
        valid = x.movedim(1, -1)[mask]  # [V,C]
        embedded = self.embed(valid.mT[None, :, :, None])  # [1,G*D,V,1]
        features = embedded.new_zeros(*mask.shape, embedded.shape[1])
        features[mask] = embedded[0, :, :, 0].mT
        return features.movedim(-1, 1)

    def refine(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The head's refinement alone: refined maps [B,R,K,H,W] and correlation [B,N,N] of `SMAOutput.maps`, float32
        (float64 for a module in float64)."""
        accum = accum_dtype(self.weight.dtype)
        temperature, gate = self.temperature, self.gate
        return correlate_attention(
            maps.to(accum),
            temperature=temperature.to(accum) if isinstance(temperature, Tensor) else temperature,
            gate=gate.to(accum) if isinstance(gate, Tensor) else gate,
            relation_bias=self.relation_bias.to(accum) if self.learns_correlation else None,
        )

    def extra_repr(self) -> str:
        regions, channels, width = self.weight.shape
        return (
            f"regions={regions}, channels={channels}, embed_dim={width}, activation={self.activation!r}, "
            f"merge={self.merge!r}, learn_correlation={self.learns_correlation}, backend={self.backend!r}"
        )
