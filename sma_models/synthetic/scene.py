"""What varies from picture to picture and has nothing to do with action units."""

from dataclasses import dataclass, replace

import numpy as np

from sma_models.synthetic.rates import AUS
from sma_models.synthetic.rng import SCENE, generator


@dataclass(frozen=True)
class Scene:
    """Pose, light, camera, occlusion, and movements that are no label. The default is a plain portrait."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    scale: float = 1.0
    shift: tuple = (0.0, 0.0)
    light: tuple = (0.0, 0.0)
    ambient: float = 1.0
    tint: tuple = (1.0, 1.0, 1.0)
    blur: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0
    background: tuple = ((150.0, 160.0, 170.0),) * 4
    clothes: tuple = (70.0, 80.0, 110.0)
    occluder: tuple = ()
    blink: float = 0.0
    speech: float = 0.0
    gaze: tuple = (0.0, 0.0)
    # Factor on each action unit on the left and right of the picture, and what is added to its intensity.
    sides: tuple = ((1.0,) * len(AUS),) * 2
    jitter: tuple = (0.0,) * len(AUS)


PLAIN = Scene()


def draw_scene(seed, subject, index):
    """The scene of one image."""
    rng = generator(SCENE, seed, subject, index)

    def span(low, high):
        return float(rng.uniform(low, high))

    def chance(probability):
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
        background=tuple(map(tuple, (rng.uniform(40, 220, 3) + rng.uniform(-30, 30, (4, 3))).tolist())),
        clothes=tuple(rng.uniform(20, 200, 3).tolist()),
        gaze=(span(-0.3, 0.3), span(-0.2, 0.2)),
        sides=tuple(map(tuple, (1.0 + np.array([[1], [-1]]) * rng.uniform(-0.12, 0.12, len(AUS))).tolist())),
        jitter=tuple(rng.uniform(-0.5, 0.5, len(AUS)).tolist()),
    )
    if chance(0.06):
        scene = replace(scene, blink=span(0.5, 1.0))
    # A mouth that speaks opens less than the least AU25 that would be labelled.
    if chance(0.35):
        scene = replace(scene, speech=span(0.05, 0.2))
    if chance(0.12):
        angle, distance = span(0, 2 * np.pi), span(0.85, 1.15)
        colour = tuple(rng.uniform(30, 220, 3).tolist())
        radii = (span(0.2, 0.42), span(0.2, 0.42))
        x, y = distance * np.cos(angle), 1.2 * distance * np.sin(angle)
        scene = replace(scene, occluder=(x, y, *radii, colour))
    return scene


# Skin stretches only so far, however expressive the face.
_LIMIT = 1.25


def strengths(identity, scene, intensities):
    """How far each action unit is shown, 0 to about 1.4: {au: float} for the two halves of the picture."""
    sides = ({}, {})
    for column, au in enumerate(AUS):
        level = float(intensities[column])
        shown = (level + scene.jitter[column]) / 5.0 * identity.expressiveness[column] if level > 0 else 0.0
        shown = min(shown, _LIMIT)
        for side, factors in zip(sides, scene.sides, strict=True):
            side[au] = shown * factors[column]
    return sides
