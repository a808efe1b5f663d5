"""The arms: what is left out of the full model, and what is put in its place."""

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
    """One model that is compared.

    name, title:      of its files, and of its rows in tables
    network:          its architecture
    attends:          whether it has attention; without, features are averaged over positions
    diversity:        one of `sma_models.losses.diversity.VARIANTS`
    diversity_weight: λ of loss = task + λ·diversity
    """

    name: str
    title: str
    network: NetworkConfig
    attends: bool = True
    diversity: str = "none"
    diversity_weight: float = 0.0


def make_arms(settings: Ablation) -> dict[str, Arm]:
    """The arms of a tier by name; the last four are a 2×2 factorial of diversity and correlation."""
    base = replace(settings.network, correlate=False)
    one = replace(base, channels=1)
    related = replace(base, correlate=True)
    pushed: dict[str, Any] = {"diversity": "hinge", "diversity_weight": settings.diversity_weight}
    arms = [
        Arm("average", "no attention", one, attends=False),
        Arm("one", "one map", one),
        Arm("wide", "one wide map", replace(one, embed_dim=base.channels * base.embed_dim)),
        Arm("shared", "K maps, shared features", replace(base, shared_features=True)),
        Arm("own", "K maps, own features (O)", base),
        Arm("diversity", "O + diversity", base, **pushed),
        Arm("correlation", "O + correlation", related),
        Arm(FULL, "O + both", related, **pushed),
    ]
    whole = ("wide", "own", "diversity", FULL)
    return {arm.name: arm for arm in arms if settings.tier == "heads" or arm.name in whole}


def make_sweeps(settings: Ablation) -> Iterator[tuple[str, Arm]]:
    """The full model with one setting changed at a time: the setting's name, and the arm. ValueError names a setting
    that no head can be made of, before anything is run."""
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
                raise ValueError(
                    f"sweeps.{field} must hold values that a head can be made of; got {value!r}: {error}"
                ) from error
            yield field, arm


def _check(arm: Arm) -> None:
    check_variant(arm.diversity)
    with torch.device("meta"):
        make_attention(1, 1, arm.network)
