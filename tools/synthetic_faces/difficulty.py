"""Measures the difficulty of the synthetic faces by training a small network on them.

`python -m tools.synthetic_faces.difficulty` writes `docs/synthetic_faces_difficulty.json`; `--budgets demo`
skips the run with ten times the training.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import LBFGS

from sma_models.synthetic.dataset import SyntheticFaces
from sma_models.synthetic.identity import draw_identity
from sma_models.synthetic.rates import AUS, BASE_RATES
from sma_models.synthetic.scene import draw_scene, strengths
from sma_models.synthetic.types import BoolArray, FloatArray
from sma_models.utils.environment import describe_machine

EPOCHS, BATCH = 5, 32
BUDGETS = {"demo": 4_000, "tenfold": 40_000}
SUBJECTS = 200
VALIDATION, TEST = 1_500, 2_000
MARGIN_ABOVE_ALWAYS, CEILING, CEILING_TENFOLD, SLACK = 0.15, 0.85, 0.92, 0.05


def faces(count: int, first_subject: int, seed: int, size: int) -> SyntheticFaces:
    return SyntheticFaces(count, size=size, subjects=SUBJECTS, first_subject=first_subject, seed=seed)


def load(dataset: SyntheticFaces) -> tuple[Tensor, Tensor]:
    """Images uint8 [n, 3, size, size] and labels float32 [n, 15]."""
    images = torch.empty((len(dataset), 3, dataset.size, dataset.size), dtype=torch.uint8)
    for index in range(len(dataset)):
        images[index] = torch.from_numpy(dataset[index].image).permute(2, 0, 1)
    return images, torch.from_numpy(dataset.all_labels()).float()


def prepare(images: Tensor) -> Tensor:
    """The input of the network, float32 [n, 3, size, size] in about -2 to 2, from uint8 images."""
    return (images.float() - 127.5).div_(64.0).contiguous(memory_format=torch.channels_last)


def train(images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """A resnet10t trained from scratch with a one-cycle schedule."""
    torch.manual_seed(seed)
    model = timm.create_model("resnet10t", pretrained=False, num_classes=len(AUS))
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps, pct_start=0.2)
    for epoch in range(EPOCHS):
        started, total = time.perf_counter(), 0.0
        order = torch.randperm(len(images))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            x = images[batch]
            # A mirrored face shows the same action units.
            if torch.rand(()) < 0.5:
                x = x.flip(3)
            loss = binary_cross_entropy_with_logits(model(prepare(x)), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * BATCH / len(images)
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}/{EPOCHS} loss {total:.4f} {seconds:.0f} s", flush=True)
    return model.eval()


@torch.no_grad()
def predict(model: Callable[[Tensor], Tensor], images: Tensor) -> FloatArray:
    """Logits, float64 [n, 15]; as float32 probabilities, all logits above 16.6 would tie."""
    logits = [model(prepare(part)) for part in images.split(100)]
    return torch.cat(logits).double().numpy()


def f1(truth: BoolArray, predicted: BoolArray) -> float:
    """F1 of booleans; 0 if none is true or predicted."""
    hits = (truth & predicted).sum()
    return float(2 * hits / max(1, truth.sum() + predicted.sum()))


def best_threshold(truth: BoolArray, score: FloatArray) -> float:
    """The threshold with the best F1, of 101 quantiles of the scores."""
    candidates = np.unique(np.quantile(score, np.linspace(0.0, 1.0, 101)))
    return max(candidates, key=lambda value: f1(truth, score >= value))


def best_thresholds(labels: BoolArray, scores: FloatArray) -> list[float]:
    """The best threshold of each column of labels and scores [n, 15]."""
    return [best_threshold(labels[:, column], scores[:, column]) for column in range(len(AUS))]


def f1_scores(labels: BoolArray, scores: FloatArray, thresholds: list[float]) -> list[float]:
    """F1 of each column of labels and scores [n, 15]."""
    return [f1(labels[:, column], scores[:, column] >= thresholds[column]) for column in range(len(AUS))]


def score_others(train_set: SyntheticFaces, validation: SyntheticFaces, test: SyntheticFaces) -> list[float]:
    """F1 per AU of a logistic regression on the intensities of the other 14: prediction from context alone."""
    scores = []
    for column in range(len(AUS)):
        others = [other for other in range(len(AUS)) if other != column]
        splits = (train_set, validation, test)
        inputs = [torch.from_numpy(split.all_intensities()[:, others]).double() for split in splits]
        truth = [split.all_labels()[:, column] for split in splits]
        target = torch.from_numpy(truth[0]).double()
        weight = torch.zeros(len(others) + 1, dtype=torch.float64, requires_grad=True)
        optimizer = LBFGS([weight], max_iter=100)

        def loss(
            weight: Tensor = weight, x: Tensor = inputs[0], target: Tensor = target, optimizer: LBFGS = optimizer
        ) -> float:
            optimizer.zero_grad()
            value = binary_cross_entropy_with_logits(x @ weight[1:] + weight[0], target)
            value.backward()
            return value.item()

        optimizer.step(loss)
        with torch.no_grad():
            val_logits, test_logits = ((x @ weight[1:] + weight[0]).numpy() for x in inputs[1:])
        scores.append(f1(truth[2], test_logits >= best_threshold(truth[1], val_logits)))
    return scores


def mean_strengths(dataset: SyntheticFaces) -> FloatArray:
    """How strongly each AU shows, float64 [n, 15], mean of both sides: the result of a perfect measurement."""
    rows = []
    for index, intensities in enumerate(dataset.all_intensities()):
        subject = dataset.subject(index)
        scene = draw_scene(dataset.seed, subject, index)
        left, right = strengths(draw_identity(dataset.seed, subject), scene, intensities)
        rows.append([0.5 * (left[au] + right[au]) for au in AUS])
    return np.array(rows)


def score_neutralized(
    model: nn.Module, test: SyntheticFaces, thresholds: list[float], logits: FloatArray
) -> list[float]:
    """F1 per AU after its region was replaced by the subject's neutral face in every image that shows it."""
    labels, intensities = test.all_labels(), test.all_intensities()
    scores = []
    for column, au in enumerate(AUS):
        predicted = logits[:, column] >= thresholds[column]
        present = np.flatnonzero(intensities[:, column])
        neutralized = np.stack([test.neutralized(int(index), au) for index in present]).transpose(0, 3, 1, 2)
        predicted[present] = predict(model, torch.from_numpy(neutralized))[:, column] >= thresholds[column]
        scores.append(f1(labels[:, column], predicted))
    return scores


def by_au(values: Iterable[float]) -> dict[str, float]:
    return {f"AU{au}": round(float(value), 3) for au, value in zip(AUS, values, strict=True)}


def mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 3)


def measure(budget: str, seed: int, size: int) -> dict[str, Any]:
    """All figures of one training budget, and whether they are within their bounds."""
    training = faces(BUDGETS[budget], 0, seed, size)
    validation, test = faces(VALIDATION, SUBJECTS, seed, size), faces(TEST, 2 * SUBJECTS, seed, size)
    model = train(*load(training), seed)
    val_logits, test_logits = (predict(model, load(split)[0]) for split in (validation, test))
    val_labels, test_labels = validation.all_labels(), test.all_labels()
    thresholds = best_thresholds(val_labels, val_logits)
    scores = f1_scores(test_labels, test_logits, thresholds)
    limits = f1_scores(test_labels, mean_strengths(test), best_thresholds(val_labels, mean_strengths(validation)))
    always = mean(2 * rate / (1 + rate) for rate in BASE_RATES.values())
    figures: dict[str, Any] = {
        "images": len(training),
        "epochs": EPOCHS,
        "mean_f1": mean(scores),
        "mean_f1_at_half": mean(f1_scores(test_labels, test_logits, [0.0] * len(AUS))),
        "always_positive_f1": always,
        "perfect_measurement_f1": mean(limits),
        "f1": by_au(scores),
    }
    if budget != "demo":
        return {**figures, "bounds_kept": {"mean_f1_below": figures["mean_f1"] < CEILING_TENFOLD}}
    others = score_others(training, validation, test)
    neutralized = score_neutralized(model, test, thresholds, test_logits)
    return {
        **figures,
        "f1_from_other_aus": by_au(others),
        "f1_region_neutral": by_au(neutralized),
        "bounds_kept": {
            "mean_f1_above": figures["mean_f1"] > always + MARGIN_ABOVE_ALWAYS,
            "mean_f1_below": figures["mean_f1"] < CEILING,
            "region_neutral": all(score <= context + SLACK for score, context in zip(neutralized, others, strict=True)),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS), choices=list(BUDGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/synthetic_faces_difficulty.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    for budget in args.budgets:
        command = f"python -m tools.synthetic_faces.difficulty --budgets {budget} --size {args.size}"
        results[f"{budget}, {args.size} px"] = {
            "command": f"{command} --seed {args.seed} --threads {args.threads}",
            "model": "resnet10t",
            "machine": describe_machine(),
            "torch": torch.__version__,
            **measure(budget, args.seed, args.size),
        }
        text = json.dumps(results, indent=1)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")
        print(text)


if __name__ == "__main__":
    main()
