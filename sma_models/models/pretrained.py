"""Where a network starts: from nothing, from a backbone's weights, or from another SMA-Net."""

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

from sma_models.models.checkpoint import ENTRY, part_of_state, read_checkpoint
from sma_models.models.checkpoint_io import safe_load
from sma_models.models.sma_net import NetworkConfig, SMANet
from sma_models.utils.finite import require_finite_weights

State = dict[str, Tensor]
ENOUGH = 0.9
# Under which name training programs keep the weights beside other things.
_NESTED = ("state_dict", "model_state_dict", "model", "network", "net")


@dataclass(frozen=True)
class Match:
    """Which tensors of a file fit a module: names, and the state that fits."""

    state: State
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]

    @property
    def share(self) -> float:
        """Matched tensors among those that the module has."""
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
    backbone_weights: str = "none",
    key_map: Mapping[str, str] | None = None,
    allow_partial: bool = False,
    init_from: str | Path | None = None,
) -> SMANet:
    """An SMA-Net that starts as asked; arguments as in `FaceTask`. What was and was not loaded is printed.

    Mean, deviation and size that `config` leaves open follow the weights: those of timm's model of that name, or of
    the SMA-Net that a file or `init_from` holds. ValueError if the weights do not fit; ConnectionError if a download
    fails.
    """
    if init_from is not None:
        if backbone_weights != "none":
            raise ValueError("init_from brings a backbone: expected backbone_weights none beside it")
        return _from_network(regions, config, read_checkpoint(init_from), str(init_from))
    if backbone_weights == "none":
        return SMANet(regions, **asdict(config))
    if backbone_weights == "timm":
        content: Any = _download(config.backbone)
    else:
        content = read_weights(backbone_weights)
    network = SMANet(regions, **asdict(_input_of(config, content)))
    found = match_weights(network.backbone, find_state(content), key_map or {})
    rank_zero_info(f"backbone weights {backbone_weights}:\n  {found}")
    require_finite_weights(f"backbone_weights {backbone_weights!r}", found.state.items())
    if found.share < ENOUGH and not allow_partial:
        raise ValueError(
            f"backbone_weights {backbone_weights!r} fit {found.share:.0%} of {config.backbone}; expected at least "
            f"{ENOUGH:.0%}: name the keys with key_map, or set allow_partial"
        )
    network.backbone.load_state_dict(found.state, strict=False)
    return network


def read_weights(path: str | Path) -> Any:
    """The content of a safetensors file or of a checkpoint that holds tensors and plain values only, on the CPU."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"backbone_weights: expected none, timm or a file; there is no file {path}")
    if Path(path).suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    return safe_load(path)


def find_state(content: Any) -> State:
    """The tensors of a file by name, whether it is a state dict or holds one. ValueError if there are none."""
    for name in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            return find_state(content[name])
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"the file holds no tensors by name; got the entries {list(content)[:8]}")
    return tensors


def match_weights(module: nn.Module, state: State, key_map: Mapping[str, str]) -> Match:
    """Find for every tensor of `module` the one of `state` that belongs to it.

    key_map's regular expressions are replaced in the names of `state` first; then the prefix under which most names of
    `module` are found is stripped ("module.", "backbone.", ...). ValueError for an expression that fits no name, or makes
    one of two.
    """
    for pattern, replacement in key_map.items():
        state = _renamed(state, pattern, replacement)
    wanted = module.state_dict()
    prefix = _common_prefix(wanted, state)
    stripped = {name.removeprefix(prefix): name for name in state if name.startswith(prefix)}
    matched, missing, mismatched, used = {}, [], [], set()
    for name, tensor in wanted.items():
        source = next((stripped[alias] for alias in _aliases(name) if alias in stripped), None)
        if source is None:
            # Old files lack this counter, and nothing is computed from it.
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
        raise ValueError(f"key_map: {pattern!r} to {replacement!r} is no regular expression: {error}") from error
    if not any(re.search(pattern, name) for name in state):
        raise ValueError(f"key_map: {pattern!r} fits none of the file's keys, such as {', '.join(list(state)[:3])}")
    if len(set(names.values())) < len(names):
        twice = next(new for new in names.values() if list(names.values()).count(new) > 1)
        raise ValueError(f"key_map: {pattern!r} to {replacement!r} gives two of the file's keys the name {twice!r}")
    return {names[name]: tensor for name, tensor in state.items()}


def _aliases(name: str) -> list[str]:
    """What a whole model calls a tensor of its feature extractor: timm flattens `stages.0` to `stages_0`, or wraps the
    whole in `model`."""
    plain = name.removeprefix("model.")
    return [name, plain, re.sub(r"^([A-Za-z]\w*?)_(\d+)\.", r"\1.\2.", plain)]


def _common_prefix(wanted: Mapping[str, Tensor], state: State) -> str:
    """The prefix, possibly empty, before most of the wanted names."""
    aliases = {alias for name in wanted for alias in _aliases(name)}
    prefixes: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in aliases:
                prefixes["".join(part + "." for part in parts[:cut])] += 1
    return prefixes.most_common(1)[0][0] if prefixes else ""


def _input_of(config: NetworkConfig, content: Any) -> NetworkConfig:
    """`config` with size, mean and deviation, where open, as the weights were trained."""
    if isinstance(content, Mapping) and ENTRY in content:
        trained = content[ENTRY]["network"]
        size, mean, std = trained["image_size"], tuple(trained["mean"]), tuple(trained["std"])
    elif (model := get_pretrained_cfg(config.backbone)) is not None:
        size, mean, std = model.input_size[-1], model.mean, model.std
    else:
        return config
    return replace(
        config,
        image_size=config.image_size or size,
        mean=config.mean or mean,
        std=config.std or std,
    )


def _download(backbone: str) -> State:
    """timm's weights of a whole model. ConnectionError names the file to give instead."""
    try:
        return timm.create_model(backbone, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        model = get_pretrained_cfg(backbone)
        file = f"model.safetensors of {model.hf_hub_id}" if model and model.hf_hub_id else "a file of its weights"
        raise ConnectionError(
            f"backbone_weights 'timm' could not fetch {backbone} ({error}); get {file} where there is a connection, "
            "and give its path as backbone_weights"
        ) from error


def _from_network(regions: Sequence[str], config: NetworkConfig, checkpoint: Any, source: str) -> SMANet:
    network = SMANet(regions, **asdict(_input_of(config, checkpoint)))
    theirs = list(checkpoint[ENTRY]["regions"])
    shared = [name for name in regions if name in theirs]
    here = torch.tensor([list(regions).index(name) for name in shared], dtype=torch.long)
    there = torch.tensor([theirs.index(name) for name in shared], dtype=torch.long)
    state, loaded = network.state_dict(), part_of_state(checkpoint, "network")
    axes = _region_axes(network)
    wrong = [name for name in state if name not in loaded or not _fits(state, loaded, name, axes)]
    if wrong or set(loaded) - set(state):
        raise ValueError(
            f"init_from {source} has another architecture: {wrong or sorted(set(loaded) - set(state))} differ; "
            f"it was made with {checkpoint[ENTRY]['network']}"
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
        f"init_from {source}:\n  regions taken: {', '.join(shared) or 'none'}\n"
        f"  new: {', '.join(name for name in regions if name not in theirs) or 'none'}\n"
        f"  left out: {', '.join(name for name in theirs if name not in regions) or 'none'}"
    )
    return network


def _region_axes(network: SMANet) -> dict[str, int]:
    """Tensors that have a row per region: 1, or a block per pair of regions: 2."""
    axes = dict.fromkeys(("attention.weight", "attention.bias", "units.weight", "units.bias"), 1)
    return axes | ({"attention.relation_bias": 2} if network.attention.learns_correlation else {})


def _fits(state: State, loaded: State, name: str, axes: Mapping[str, int]) -> bool:
    skipped = axes.get(name, 0)
    return state[name].shape[skipped:] == loaded[name].shape[skipped:] and state[name].ndim == loaded[name].ndim
