"""Nuisances that vary per image, independent of every action unit."""

from dataclasses import dataclass, replace

import numpy as np

from sma_models.synthetic.colors import as_color
from sma_models.synthetic.identity import Identity
from sma_models.synthetic.rates import AUS
from sma_models.synthetic.rng import SCENE, generator
from sma_models.synthetic.types import Color, Intensities, Strengths


@dataclass(frozen=True)
class Scene:
    """Pose, light, camera, occlusion, and movements without a label. The default is a plain portrait.

    Angles are in radians, shift in half image widths, blur in pixels of a 128-pixel image, noise is its
    standard deviation in gray levels of 255.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    light: tuple[float, float] = (0.0, 0.0)
    ambient: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blur: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0
    background: tuple[Color, ...] = ((150.0, 160.0, 170.0),) * 4
    clothes: Color = (70.0, 80.0, 110.0)
    # Center, horizontal and vertical radius in half face widths, color; empty for none.
    occluder: tuple[float, float, float, float, Color] | tuple[()] = ()
    blink: float = 0.0
    speech: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    # Factor on each action unit on the left and right of the image, and an offset to its intensity.
    sides: tuple[tuple[float, ...], ...] = ((1.0,) * len(AUS),) * 2
    jitter: tuple[float, ...] = (0.0,) * len(AUS)


PLAIN = Scene()


def draw_scene(seed: int, subject: int, index: int) -> Scene:
    """The scene of one image."""
    rng = generator(SCENE, seed, subject, index)

    def span(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    scene = Scene(
        yaw=float(np.clip(rng.normal(0, 0.13), -0.35, 0.35)),
        pitch=float(np.clip(rng.normal(0, 0.08), -0.22, 0.22)),
        roll=float(np.clip(rng.normal(0, 0.07), -0.2, 0.2)),
        scale=span(0.93, 1.05),
        shift=(span(-0.09, 0.09), span(-0.06, 0.06)),
        light=(span(-0.3, 0.3), span(-0.15, 0.15)),
        ambient=span(0.75, 1.12),
        tint=(span(0.95, 1.05), span(0.97, 1.03), span(0.93, 1.07)),
        blur=span(0.3, 0.9) if chance(0.4) else 0.0,
        noise=span(1.0, 8.0),
        noise_seed=int(rng.integers(2**31)),
        background=tuple(map(as_color, rng.uniform(40, 220, 3) + rng.uniform(-30, 30, (4, 3)))),
        clothes=as_color(rng.uniform(20, 200, 3)),
        gaze=(span(-0.3, 0.3), span(-0.2, 0.2)),
        sides=tuple(map(tuple, (1.0 + np.array([[1], [-1]]) * rng.uniform(-0.12, 0.12, len(AUS))).tolist())),
        jitter=tuple(rng.uniform(-0.5, 0.5, len(AUS)).tolist()),
    )
    if chance(0.06):
        scene = replace(scene, blink=span(0.5, 1.0))
    # A speaking mouth opens less than the weakest labeled AU25.
    if chance(0.35):
        scene = replace(scene, speech=span(0.05, 0.2))
    if chance(0.12):
        angle, distance = span(0, 2 * np.pi), span(0.85, 1.15)
        color = as_color(rng.uniform(30, 220, 3))
        x_radius, y_radius = span(0.2, 0.42), span(0.2, 0.42)
        x, y = distance * np.cos(angle), 1.2 * distance * np.sin(angle)
        scene = replace(scene, occluder=(x, y, x_radius, y_radius, color))
    return scene


# Skin stretches only so far, however expressive the face.
_LIMIT = 1.25


def strengths(identity: Identity, scene: Scene, intensities: Intensities) -> tuple[Strengths, Strengths]:
    """How strongly each action unit shows, 0 to about 1.4, on the left and right of the image."""
    sides: tuple[dict[int, float], dict[int, float]] = ({}, {})
    for column, au in enumerate(AUS):
        level = float(intensities[column])
        shown = (level + scene.jitter[column]) / 5.0 * identity.expressiveness[column] if level > 0 else 0.0
        shown = min(shown, _LIMIT)
        for side, factors in zip(sides, scene.sides, strict=True):
            side[au] = shown * factors[column]
    return sides
