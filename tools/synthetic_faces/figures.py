"""Measures the documented properties of the synthetic faces, and draws the sample grid.

`python -m tools.synthetic_faces.figures` writes `docs/synthetic_faces.json` and
`docs/images/synthetic_faces.png`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sma_models.synthetic.dataset import SyntheticFaces
from sma_models.synthetic.identity import draw_identity
from sma_models.synthetic.rates import AUS, BASE_RATES, COLUMN, CORRELATIONS, EXCLUDED, EXCLUDING
from sma_models.synthetic.render import render
from sma_models.synthetic.scene import PLAIN, draw_scene
from sma_models.synthetic.types import Image
from sma_models.utils.environment import describe_machine

LABELS = 100_000
# Two subjects without glasses, beard and fringe, which would cover some action units.
GRID_SUBJECTS = (22, 20)
GRID_LEVELS = (0, 3, 5)
SIZE = 128


def grid() -> Image:
    """uint8 RGB: one row per AU, with intensities 0, 3 and 5 of each subject."""
    rows = []
    for column, au in enumerate(AUS):
        margin = np.full((SIZE, 56, 3), 255, np.uint8)
        cv2.putText(margin, f"AU{au}", (4, 70), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        row = [margin]
        for subject in GRID_SUBJECTS:
            for level in GRID_LEVELS:
                intensities = np.zeros(len(AUS), np.int8)
                intensities[column] = level
                row.append(render(draw_identity(0, subject), PLAIN, intensities, SIZE))
        rows.append(np.hstack(row))
    header = np.full((24, rows[0].shape[1], 3), 255, np.uint8)
    for column, level in enumerate(GRID_LEVELS * len(GRID_SUBJECTS)):
        name = str(level) if level else "neutral"
        origin = (56 + column * SIZE + 40, 17)
        cv2.putText(header, name, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([header, *rows])


def label_figures(mode: str) -> dict[str, Any]:
    """Base rates, correlations and exclusions, with their largest errors against the targets."""
    labels = SyntheticFaces(LABELS, mode=mode).all_labels()
    phi = np.asarray(np.corrcoef(labels.T))
    rates = {f"AU{au}": round(float(labels[:, COLUMN[au]].mean()), 3) for au in AUS}
    figures: dict[str, Any] = {
        "labels": LABELS,
        "base_rates": rates,
        "largest_rate_error": round(max(abs(rates[f"AU{au}"] - BASE_RATES[au]) for au in AUS), 3),
        "au24_with_25_or_26": int(
            (labels[:, COLUMN[EXCLUDING]] & labels[:, [COLUMN[au] for au in EXCLUDED]].any(axis=1)).sum()
        ),
    }
    if mode == "correlated":
        pairs = {f"{a}-{b}": round(float(phi[COLUMN[a], COLUMN[b]]), 3) for a, b in CORRELATIONS}
        errors = [abs(pairs[f"{a}-{b}"] - target) for (a, b), target in CORRELATIONS.items()]
        return {**figures, "phi": pairs, "largest_phi_error": round(max(errors), 3)}
    for au in EXCLUDED:
        phi[COLUMN[EXCLUDING], COLUMN[au]] = phi[COLUMN[au], COLUMN[EXCLUDING]] = 0.0
    np.fill_diagonal(phi, 0.0)
    return {**figures, "largest_phi_but_exclusion": round(float(np.abs(phi).max()), 3)}


def nuisance_figures(count: int = 20_000) -> dict[str, Any]:
    """Largest correlation of light, pose and occlusion with any label."""
    labels = SyntheticFaces(count, subjects=count).all_labels()
    names = ("yaw", "pitch", "roll", "light_x", "light_y", "ambient", "occluded")
    rows: dict[str, list[float]] = {name: [] for name in names}
    for index in range(count):
        scene = draw_scene(0, index, index)
        values = (scene.yaw, scene.pitch, scene.roll, *scene.light, scene.ambient, bool(scene.occluder))
        for row, value in zip(rows.values(), values, strict=True):
            row.append(value)
    table = np.corrcoef(np.array(list(rows.values()), float), labels.T)[: len(rows), len(rows) :]
    largest = {name: round(float(np.abs(row).max()), 3) for name, row in zip(rows, table, strict=True)}
    return {"images": count, "largest_correlation_with_a_label": largest}


def region_figures(count: int = 300) -> dict[str, Any]:
    """Share of the image that the region of each labeled AU covers, in percent: median over images."""
    faces = SyntheticFaces(count)
    labels = faces.all_labels()
    shares: dict[int, list[float]] = {au: [] for au in AUS}
    for index in range(count):
        regions = faces.regions(index)
        for column in np.flatnonzero(labels[index]):
            shares[AUS[column]].append(100.0 * regions[column].mean())
    return {
        "images": count,
        "median_percent": {f"AU{au}": round(float(np.median(shares[au])), 2) for au in AUS},
    }


def speed_figures(count: int = 1_000) -> dict[str, Any]:
    """Images per second on one core, rendering included, at several sizes."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    speeds = {}
    for size in (64, 96, 128, 224):
        faces = SyntheticFaces(count, size=size)
        faces[0]
        # Processor time, so that other programs on the core do not count.
        started = time.process_time()
        for index in range(count):
            faces[index]
        speeds[f"{size} px"] = round(count / (time.process_time() - started))
    cv2.setNumThreads(threads)
    return {"images": count, "threads": 1, "images_per_second_per_core": speeds, "machine": describe_machine()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="output folder")
    docs = parser.parse_args().docs
    (docs / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(docs / "images" / "synthetic_faces.png"), cv2.cvtColor(grid(), cv2.COLOR_RGB2BGR))
    figures = {
        "command": "python -m tools.synthetic_faces.figures",
        "correlated": label_figures("correlated"),
        "independent": label_figures("independent"),
        "nuisances": nuisance_figures(),
        "regions": region_figures(),
        "speed": speed_figures(),
    }
    text = json.dumps(figures, indent=1)
    (docs / "synthetic_faces.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
