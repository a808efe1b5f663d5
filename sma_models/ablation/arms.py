"""The arms of the ablation: variants of the full model with one part removed or replaced."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from sma_models.ablation.config import Ablation
from sma_models.losses.diversity import check_variant
from sma_models.models.sma_net import NetworkConfig, make_attention

FULL = "both"


@dataclass(frozen=True)
class Arm:
    """One of the compared models.

    name, title:      in file names, and in rows of tables
    network:          its architecture
    has_attention:    if False, features are averaged over positions
    diversity:        one of `sma_models.losses.diversity.VARIANTS`
    diversity_weight: λ of loss = task + λ·diversity
    """

    name: str
    title: str
    network: NetworkConfig
    has_attention: bool = True
    diversity: str = "none"
    diversity_weight: float = 0.0


def make_arms(settings: Ablation) -> dict[str, Arm]:
    """The arms of a protocol by name; the last four are a 2×2 factorial of diversity and correlation."""
    base = replace(settings.network, correlate=False)
    one_map = replace(base, channels=1)
    correlated = replace(base, correlate=True)
    diversified: dict[str, Any] = {"diversity": "hinge", "diversity_weight": settings.diversity_weight}
    arms = [
        Arm("average", "no attention", one_map, has_attention=False),
        Arm("one", "one map", one_map),
        Arm("wide", "one wide map", replace(one_map, embed_dim=base.channels * base.embed_dim)),
        Arm("shared", "K maps, shared features", replace(base, shared_features=True)),
        Arm("own", "K maps, own features (O)", base),
        Arm("diversity", "O + diversity", base, **diversified),
        Arm("correlation", "O + correlation", correlated),
        Arm(FULL, "O + both", correlated, **diversified),
    ]
    end_to_end = ("wide", "own", "diversity", FULL)
    return {arm.name: arm for arm in arms if settings.protocol == "heads" or arm.name in end_to_end}


def make_sweeps(settings: Ablation) -> Iterator[tuple[str, Arm]]:
    """The full model with one setting changed at a time: yields the name of the setting, and the arm.

    ValueError names an invalid setting, before anything is run.
    """
    full = make_arms(settings)[FULL]
    for field, values in settings.sweeps.items():
        for value in values:
            changed: dict[str, Any] = {"name": f"{field}={value}", "title": f"{field} {value}"}
            try:
                if field in ("diversity", "diversity_weight"):
                    arm = replace(full, **changed, **{field: value})
                else:
                    arm = replace(full, **changed, network=replace(full.network, **{field: value}))
                _check(arm)
            except (TypeError, ValueError) as error:
                raise ValueError(f"sweeps.{field} must list valid values; got {value!r}: {error}") from error
            yield field, arm


def _check(arm: Arm) -> None:
    check_variant(arm.diversity)
    with torch.device("meta"):
        make_attention(1, 1, arm.network)
