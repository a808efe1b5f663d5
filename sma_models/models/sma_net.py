"""SMA-Net: a backbone, several attention maps per region, and one linear classifier per region."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import timm
import torch
from timm.layers import Format
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from sma_kernels import SMAAttention, SMAOutput


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture of an SMA-Net; its switches are the ablations.

    backbone:          name of a timm model that offers feature maps
    stage:             index of the feature map to use, numbered as in timm; -1 is the last
    output_stride:     largest stride of a feature map; later stages are dilated instead, if timm supports it for the backbone
    image_size:        width and height of the input in pixels; None follows the weights (224 without any)
    mean, std:         of the input's RGB channels, scaled to 0..1; None follows the weights
    channels:          K, attention maps per region
    embed_dim:         D, embedding width of a feature group
    shared_features:   one feature group for all maps of a region instead of one each
    merge:             "none": each map pools its own vector, with its own weights in the region's classifier. "max" and
                       "mean" first merge the maps of a region into one; docs/evidence.md reports the cost
    activation, margin, correlate, temperature, gate, learn_correlation, backend: see `SMAAttention`
    """

    backbone: str = "resnet18"
    stage: int = -1
    output_stride: int | None = None
    image_size: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    channels: int = 4
    embed_dim: int = 64
    shared_features: bool = False
    activation: str = "softmax"
    merge: str = "none"
    margin: float = 0.5
    correlate: bool = True
    temperature: float = 0.1
    gate: float = 0.5
    learn_correlation: bool = True
    backend: str = "auto"

    def __post_init__(self) -> None:
        """ValueError for an impossible image size, mean or deviation."""
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size must be at least 1; got {self.image_size}")
        if self.mean is not None and not all(map(math.isfinite, self.mean)):
            raise ValueError(f"mean must be finite; got {tuple(self.mean)}")
        if self.std is not None and not all(0 < value < math.inf for value in self.std):
            raise ValueError(f"std must be above 0 and finite; got {tuple(self.std)}")


class NetworkOutput(NamedTuple):
    """logits [B,R], and the output of the attention."""

    logits: Tensor
    attention: SMAOutput


class SMANet(nn.Module):
    """One logit per region from images of faces.

    regions:       their names, one per action unit or expression class; a checkpoint carries them
    device, dtype: of parameters and buffers, as in torch.nn
    settings:      the fields of `NetworkConfig`

    forward(x [B,3,H,W], uint8 in 0..255 or floating in 0..1, RGB) -> NetworkOutput, in the network's dtype. An action unit's
    probability is the sigmoid of its logit; expression classes share a softmax.

    Raises ValueError for empty or repeated regions, and for a backbone or stage that timm does not offer.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        regions: Sequence[str],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **settings: Any,
    ):
        super().__init__()
        self.regions = tuple(regions)
        if not self.regions or len(set(self.regions)) < len(self.regions):
            raise ValueError(f"regions must be different names, at least one; got {list(regions)}")
        config = NetworkConfig(**settings)
        defaults = get_pretrained_cfg(config.backbone)
        self.config = NetworkConfig(
            **asdict(config)
            | {
                "image_size": config.image_size or 224,
                "mean": tuple(config.mean or (defaults.mean if defaults else (0.5, 0.5, 0.5))),
                "std": tuple(config.std or (defaults.std if defaults else (0.5, 0.5, 0.5))),
            }
        )
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_buffer("mean", torch.empty(3, 1, 1, **factory), persistent=False)
        self.register_buffer("std", torch.empty(3, 1, 1, **factory), persistent=False)
        self.reset_parameters()
        with torch.device(device) if device is not None else nullcontext():
            self.backbone = _make_backbone(self.config, fixed_size=bool(defaults and defaults.fixed_input_size))
        self.backbone.to(self.mean.dtype)
        self.channels_last_maps = Format(getattr(self.backbone, "output_fmt", "NCHW")) == Format.NHWC
        width = self.backbone.feature_info.channels()[-1]
        self.attention = make_attention(width, len(self.regions), config, **factory)
        self.classifier = make_classifier(width, len(self.regions), config, **factory)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Write the buffers `mean` and `std`; submodules have their own method of this name."""
        for buffer, values in ((self.mean, self.config.mean), (self.std, self.config.std)):
            buffer.copy_(torch.tensor(values, dtype=buffer.dtype, device="cpu").view(3, 1, 1))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Called by every move or cast. Afterwards `mean` and `std` are written: `to_empty` leaves them uninitialized, and no
        checkpoint contains them."""
        super()._apply(fn, recurse)
        self.reset_parameters()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        rename_old_keys(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Tensor) -> NetworkOutput:
        attention = self.attention(self.feature_maps(x))
        return NetworkOutput(self.classifier(attention.pooled), attention)

    def feature_maps(self, x: Tensor) -> Tensor:
        """The backbone's feature maps [B,C,H,W] of images in the format of `forward`."""
        dtype = self.mean.dtype
        exact = x.to(torch.promote_types(dtype, torch.float32))
        if not x.is_floating_point():
            exact = exact / 255
        x = ((exact - self.mean) / self.std).to(dtype).contiguous(memory_format=torch.channels_last)
        maps = self.backbone(x)[-1]
        return maps.permute(0, 3, 1, 2) if self.channels_last_maps else maps

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that an optimizer must not decay."""
        return {f"attention.{name}" for name in self.attention.no_weight_decay()}


class RegionClassifier(nn.Module):
    """A group-wise linear classifier: logits [B,R] of pooled features [B,R,C], or [B,R,K,C] summed over the channels.

    Features are normalized first, by statistics that all regions share: means over many positions differ so little from
    face to face that classifiers of the raw features hardly learn in the first thousand steps.
    rows:          () or (K,), the dimensions between R and C in the pooled features
    device, dtype: of the parameters, as in torch.nn
    """

    def __init__(
        self,
        regions: int,
        rows: tuple[int, ...],
        width: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.norm = nn.BatchNorm1d(width, affine=False, **factory)
        self.weight = nn.Parameter(torch.empty(regions, *rows, width, **factory))
        self.bias = nn.Parameter(torch.empty(regions, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Redraw the weights and set the biases to 0."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        features = self.norm(pooled.flatten(0, -2)).view_as(pooled)
        return (features * self.weight).flatten(2).sum(2) + self.bias


def rename_old_keys(state_dict: dict[str, Any], prefix: str = "") -> None:
    """Give the tensors of an older SMA-Net their current names, in place."""
    for old, new in ((prefix + old, prefix + new) for old, new in _OLD_KEYS):
        for name in [name for name in state_dict if name.startswith(old)]:
            state_dict[new + name.removeprefix(old)] = state_dict.pop(name)


# The longer prefix first, since the shorter one matches the same names.
_OLD_KEYS = (("units.standardise.", "classifier.norm."), ("units.", "classifier."))


def make_attention(width: int, regions: int, config: NetworkConfig, **factory: Any) -> SMAAttention:
    """The attention over feature maps of `width` channels; `factory`: device and dtype."""
    return SMAAttention(
        width,
        regions,
        config.channels,
        config.embed_dim,
        activation=config.activation,
        merge=config.merge,
        margin=config.margin,
        shared_features=config.shared_features,
        correlate=config.correlate,
        temperature=config.temperature,
        gate=config.gate,
        learn_correlation=config.learn_correlation,
        backend=config.backend,
        **factory,
    )


def make_classifier(width: int, regions: int, config: NetworkConfig, **factory: Any) -> RegionClassifier:
    """The classifier of the features that the attention of `make_attention` pools; `factory`: device and dtype."""
    return RegionClassifier(regions, (config.channels,) if config.merge == "none" else (), width, **factory)


def _make_backbone(config: NetworkConfig, fixed_size: bool) -> Any:
    options: dict[str, Any] = {}
    if config.output_stride is not None:
        options["output_stride"] = config.output_stride
    if fixed_size:
        options["img_size"] = config.image_size
    if not timm.is_model(config.backbone):
        raise ValueError(f"backbone must name a timm model; got {config.backbone!r}")
    try:
        return timm.create_model(
            config.backbone, pretrained=False, features_only=True, out_indices=(config.stage,), **options
        )
    except (AssertionError, IndexError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"timm cannot build backbone {config.backbone!r} with stage {config.stage} and {options}: {error}"
        ) from error
