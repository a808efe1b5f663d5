"""Initial weights of a network: random, pretrained weights of the backbone, or another SMA-Net."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from lightning.pytorch.utilities import rank_zero_info
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from sma_models.models.checkpoint import ENTRY, CheckpointInfo, load_checkpoint
from sma_models.models.checkpoint_io import safe_load
from sma_models.models.sma_net import NetworkConfig, SMANet
from sma_models.utils.finite import require_finite_weights

State = dict[str, Tensor]
MIN_MATCHED_SHARE = 0.9
# Entries under which training programs store the weights.
_NESTED = ("state_dict", "model_state_dict", "model", "network", "net")


@dataclass(frozen=True)
class Match:
    """The tensors of a file that fit a module, and the names of all others."""

    state: State
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]

    @property
    def share(self) -> float:
        """Share of the module's tensors that are matched."""
        return len(self.state) / (len(self.state) + len(self.missing) + len(self.mismatched))

    def __str__(self) -> str:
        lines = [f"{len(self.state)} matched"]
        for kind in ("missing", "unexpected", "mismatched"):
            names = getattr(self, kind)
            shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            lines.append(f"{len(names)} {kind}" + (f": {shown}" if names else ""))
        return "\n  ".join(lines)


def build_network(
    regions: Sequence[str],
    config: NetworkConfig,
    *,
    pretrained: bool | str = False,
    key_map: Mapping[str, str] | None = None,
    allow_partial: bool = False,
    init_from: str | Path | None = None,
) -> SMANet:
    """An SMA-Net with initial weights; arguments as in `FaceTask`. Prints which weights were loaded and which were not.

    If `config` leaves mean, deviation or image size open, they follow the weights: those of timm's model of that name, or
    of the SMA-Net in a file or in `init_from`. ValueError if the weights do not fit; ConnectionError if a download
    fails.
    """
    if init_from is not None:
        if pretrained is not False:
            raise ValueError(f"init_from includes a backbone, so pretrained must be false; got {pretrained!r}")
        return _from_network(regions, config, init_from)
    if pretrained is False:
        return SMANet(regions, **asdict(config))
    content: Any = _download(config.backbone) if pretrained is True else read_weights(pretrained)
    source = "timm" if pretrained is True else str(pretrained)
    network = SMANet(regions, **asdict(_input_of(config, content)))
    match = match_weights(network.backbone, find_state(content), key_map or {})
    rank_zero_info(f"pretrained weights {source}:\n  {match}")
    require_finite_weights(f"pretrained weights {source!r}", match.state.items())
    if match.share < MIN_MATCHED_SHARE and not allow_partial:
        raise ValueError(
            f"pretrained weights {source!r} fit {match.share:.0%} of {config.backbone}; expected at least "
            f"{MIN_MATCHED_SHARE:.0%}: name the keys with key_map, or set allow_partial"
        )
    network.backbone.load_state_dict(match.state, strict=False)
    return network


def read_weights(path: str | Path) -> Any:
    """The content, on the CPU, of a safetensors file or of a checkpoint of tensors and plain values only."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"pretrained: expected true, false or a file; there is no file {path}")
    if Path(path).suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    return safe_load(path)


def find_state(content: Any) -> State:
    """The tensors of a file by name, from a state dict or an entry with one. ValueError if there are none."""
    for name in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            return find_state(content[name])
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"the file contains no named tensors; got the entries {list(content)[:8]}")
    return tensors


def match_weights(module: nn.Module, state: State, key_map: Mapping[str, str]) -> Match:
    """Match each tensor of `module` with a tensor of `state` by name.

    First, key_map's regular expressions are replaced in the names of `state`; then the most frequent prefix of the names of
    `module` is stripped ("module.", "backbone.", ...). ValueError for an expression that matches no name, or that gives two
    tensors the same name.
    """
    for pattern, replacement in key_map.items():
        state = _renamed(state, pattern, replacement)
    expected = module.state_dict()
    prefix = _common_prefix(expected, state)
    stripped = {name.removeprefix(prefix): name for name in state if name.startswith(prefix)}
    matched, missing, mismatched, used = {}, [], [], set()
    for name, tensor in expected.items():
        source = next((stripped[alias] for alias in _aliases(name) if alias in stripped), None)
        if source is None:
            # Old files lack this counter, which no computation uses.
            if not name.endswith("num_batches_tracked"):
                missing.append(name)
            continue
        used.add(source)
        if state[source].shape == tensor.shape:
            matched[name] = state[source]
        else:
            mismatched.append(f"{name} {tuple(state[source].shape)} for {tuple(tensor.shape)}")
    return Match(matched, missing, sorted(set(state) - used), mismatched)


def _renamed(state: State, pattern: str, replacement: str) -> State:
    try:
        names = {name: re.sub(pattern, replacement, name) for name in state}
    except re.error as error:
        raise ValueError(
            f"key_map: {pattern!r} to {replacement!r} is not a valid regular expression: {error}"
        ) from error
    if not any(re.search(pattern, name) for name in state):
        raise ValueError(f"key_map: {pattern!r} matches none of the file's keys, such as {', '.join(list(state)[:3])}")
    if len(set(names.values())) < len(names):
        twice = next(new for new in names.values() if list(names.values()).count(new) > 1)
        raise ValueError(f"key_map: {pattern!r} to {replacement!r} gives two of the file's keys the name {twice!r}")
    return {names[name]: tensor for name, tensor in state.items()}


def _aliases(name: str) -> list[str]:
    """The names of a feature extractor's tensor in the whole model: timm flattens `stages.0` to `stages_0`, or wraps the
    whole model in `model`."""
    plain = name.removeprefix("model.")
    return [name, plain, re.sub(r"^([A-Za-z]\w*?)_(\d+)\.", r"\1.\2.", plain)]


def _common_prefix(expected: Mapping[str, Tensor], state: State) -> str:
    """The most frequent prefix, possibly empty, of the expected names."""
    aliases = {alias for name in expected for alias in _aliases(name)}
    prefixes: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in aliases:
                prefixes["".join(part + "." for part in parts[:cut])] += 1
    return prefixes.most_common(1)[0][0] if prefixes else ""


def _input_of(config: NetworkConfig, content: Any) -> NetworkConfig:
    """`config` with the image size, mean and deviation of the weights, unless it sets them."""
    if isinstance(content, Mapping) and ENTRY in content:
        trained = CheckpointInfo.of(content).network
        return _with_input(config, trained.image_size, trained.mean, trained.std)
    if (model := get_pretrained_cfg(config.backbone)) is not None:
        return _with_input(config, model.input_size[-1], model.mean, model.std)
    return config


def _with_input(config: NetworkConfig, size: int | None, mean: Any, std: Any) -> NetworkConfig:
    mean, std = tuple(mean), tuple(std)
    return replace(
        config,
        image_size=config.image_size or size,
        mean=config.mean or mean,
        std=config.std or std,
    )


def _download(backbone: str) -> State:
    """timm's weights of a whole model. ConnectionError names the file to use instead."""
    try:
        return timm.create_model(backbone, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        model = get_pretrained_cfg(backbone)
        file = f"model.safetensors of {model.hf_hub_id}" if model and model.hf_hub_id else "a file of its weights"
        raise ConnectionError(
            f"timm's pretrained weights of {backbone} could not be downloaded ({error}); get {file} on a machine with a "
            "connection, and set pretrained to its path"
        ) from error


def _from_network(regions: Sequence[str], config: NetworkConfig, path: str | Path) -> SMANet:
    info, source = load_checkpoint(path)
    trained = info.network
    network = SMANet(regions, **asdict(_with_input(config, trained.image_size, trained.mean, trained.std)))
    theirs = info.regions
    shared = [name for name in regions if name in theirs]
    here = torch.tensor([list(regions).index(name) for name in shared], dtype=torch.long)
    there = torch.tensor([theirs.index(name) for name in shared], dtype=torch.long)
    state, loaded = network.state_dict(), source.state_dict()
    axes = _region_axes(network)
    wrong = [name for name in state if name not in loaded or not _fits(state, loaded, name, axes)]
    if wrong or set(loaded) - set(state):
        raise ValueError(
            f"init_from {path} has another architecture: {wrong or sorted(set(loaded) - set(state))} differ; "
            f"it was created with {asdict(trained)}"
        )
    for name, tensor in state.items():
        match axes.get(name, 0):
            case 0:
                tensor.copy_(loaded[name])
            case 1:
                tensor[here] = loaded[name][there]
            case _:
                channels = network.config.channels
                blocks = loaded[name].unflatten(0, (-1, channels)).unflatten(2, (-1, channels))
                view = tensor.unflatten(0, (-1, channels)).unflatten(2, (-1, channels))
                view[here[:, None], :, here[None, :]] = blocks[there[:, None], :, there[None, :]]
    rank_zero_info(
        f"init_from {path}:\n  regions loaded: {', '.join(shared) or 'none'}\n"
        f"  new: {', '.join(name for name in regions if name not in theirs) or 'none'}\n"
        f"  left out: {', '.join(name for name in theirs if name not in regions) or 'none'}"
    )
    return network


def _region_axes(network: SMANet) -> dict[str, int]:
    """Per tensor: 1 for a row per region, 2 for a block per pair of regions."""
    axes = dict.fromkeys(("attention.weight", "attention.bias", "classifier.weight", "classifier.bias"), 1)
    return axes | ({"attention.relation_bias": 2} if network.attention.learns_correlation else {})


def _fits(state: State, loaded: State, name: str, axes: Mapping[str, int]) -> bool:
    skipped = axes.get(name, 0)
    return state[name].shape[skipped:] == loaded[name].shape[skipped:] and state[name].ndim == loaded[name].ndim
