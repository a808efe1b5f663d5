"""Is the task hard, and possible? Train a small network on synthetic faces and measure.

`python -m tools.synthetic_faces.difficulty` writes `docs/synthetic_faces_difficulty.json`; `--budgets demo`
skips the run with ten times the training, which takes ten times as long.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from sma_models.synthetic.dataset import SyntheticFaces
from sma_models.synthetic.identity import draw_identity
from sma_models.synthetic.rates import AUS, BASE_RATES
from sma_models.synthetic.scene import draw_scene, strengths
from sma_models.utils.environment import machine

EPOCHS, BATCH = 5, 32
BUDGETS = {"demo": 4_000, "tenfold": 40_000}
SUBJECTS = 200
VALIDATION, TEST = 1_500, 2_000
MARGIN_ABOVE_ALWAYS, CEILING, CEILING_TENFOLD, SLACK = 0.15, 0.85, 0.92, 0.05


def faces(count, first_subject, seed, size):
    return SyntheticFaces(count, size=size, subjects=SUBJECTS, first_subject=first_subject, seed=seed)


def load(dataset):
    """Images uint8 [n, 3, size, size] and labels float32 [n, 15]."""
    images = torch.empty((len(dataset), 3, dataset.size, dataset.size), dtype=torch.uint8)
    for index in range(len(dataset)):
        images[index] = torch.from_numpy(dataset[index].image).permute(2, 0, 1)
    return images, torch.from_numpy(dataset.all_labels()).float()


def prepare(images):
    return (images.float() - 127.5).div_(64.0).contiguous(memory_format=torch.channels_last)


def train(images, labels, seed):
    """A resnet10t from scratch, one pass of a one-cycle schedule."""
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
def predict(model, images):
    """Logits, float64 [n, 15]: as float32 probabilities those above 16.6 would be equal."""
    parts = [model(prepare(part)) for part in images.split(100)]
    return torch.cat(parts).double().numpy()


def f1(truth, guess):
    """F1 of booleans; 0 where nothing is true or guessed."""
    hits = (truth & guess).sum()
    return float(2 * hits / max(1, truth.sum() + guess.sum()))


def best_threshold(truth, score):
    """The threshold with the best F1."""
    candidates = np.unique(np.quantile(score, np.linspace(0.0, 1.0, 101)))
    return max(candidates, key=lambda value: f1(truth, score >= value))


def score_others(train_set, validation, test):
    """F1 per AU of a logistic regression on the intensities of the other 14: what context alone tells."""
    scores = []
    for column in range(len(AUS)):
        others = [k for k in range(len(AUS)) if k != column]
        parts = (train_set, validation, test)
        x, v, t = (torch.from_numpy(part.all_intensities()[:, others]).double() for part in parts)
        truth = [part.all_labels()[:, column] for part in parts]
        target = torch.from_numpy(truth[0]).double()
        weight = torch.zeros(len(others) + 1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight], max_iter=100)

        def loss(weight=weight, x=x, target=target, optimizer=optimizer):
            optimizer.zero_grad()
            value = binary_cross_entropy_with_logits(x @ weight[1:] + weight[0], target)
            value.backward()
            return value

        optimizer.step(loss)
        with torch.no_grad():
            validated, tested = ((part @ weight[1:] + weight[0]).numpy() for part in (v, t))
        scores.append(f1(truth[2], tested >= best_threshold(truth[1], validated)))
    return scores


def shown(dataset):
    """How far each unit is really shown, float64 [n, 15]: what a perfect measurement would give."""
    rows = []
    for index, intensities in enumerate(dataset.all_intensities()):
        subject = dataset.subject(index)
        scene = draw_scene(dataset.seed, subject, index)
        left, right = strengths(draw_identity(dataset.seed, subject), scene, intensities)
        rows.append([0.5 * (left[au] + right[au]) for au in AUS])
    return np.array(rows)


def score_neutralised(model, test, thresholds, logits):
    """F1 per AU with its region painted with the subject's neutral face, in every image that shows it."""
    labels, intensities = test.all_labels(), test.all_intensities()
    scores = []
    for column, au in enumerate(AUS):
        guess = logits[:, column] >= thresholds[column]
        present = np.flatnonzero(intensities[:, column])
        painted = np.stack([test.neutralised(int(index), au) for index in present]).transpose(0, 3, 1, 2)
        guess[present] = predict(model, torch.from_numpy(painted))[:, column] >= thresholds[column]
        scores.append(f1(labels[:, column], guess))
    return scores


def by_au(values):
    return {f"AU{au}": round(float(value), 3) for au, value in zip(AUS, values, strict=True)}


def mean(values):
    return round(float(np.mean(list(values))), 3)


def measure(budget, seed, size):
    """All figures of one training budget, as a dict, and which bounds they keep."""
    training = faces(BUDGETS[budget], 0, seed, size)
    validation, test = faces(VALIDATION, SUBJECTS, seed, size), faces(TEST, 2 * SUBJECTS, seed, size)
    model = train(*load(training), seed)
    validated = predict(model, load(validation)[0])
    tested = predict(model, load(test)[0])
    truth, held_out = test.all_labels(), validation.all_labels()
    thresholds = [best_threshold(held_out[:, k], validated[:, k]) for k in range(len(AUS))]
    scores = [f1(truth[:, k], tested[:, k] >= thresholds[k]) for k in range(len(AUS))]
    exact, seen = shown(validation), shown(test)
    limits = [f1(truth[:, k], seen[:, k] >= best_threshold(held_out[:, k], exact[:, k])) for k in range(len(AUS))]
    always = mean(2 * rate / (1 + rate) for rate in BASE_RATES.values())
    figures = {
        "images": len(training),
        "epochs": EPOCHS,
        "mean_f1": mean(scores),
        "mean_f1_at_half": mean(f1(truth[:, k], tested[:, k] >= 0) for k in range(len(AUS))),
        "always_positive_f1": always,
        "perfect_measurement_f1": mean(limits),
        "f1": by_au(scores),
    }
    if budget != "demo":
        return {**figures, "bounds_kept": {"mean_f1_below": figures["mean_f1"] < CEILING_TENFOLD}}
    others = score_others(training, validation, test)
    painted = score_neutralised(model, test, thresholds, tested)
    return {
        **figures,
        "f1_from_other_aus": by_au(others),
        "f1_region_neutral": by_au(painted),
        "bounds_kept": {
            "mean_f1_above": figures["mean_f1"] > always + MARGIN_ABOVE_ALWAYS,
            "mean_f1_below": figures["mean_f1"] < CEILING,
            "region_neutral": all(p <= o + SLACK for p, o in zip(painted, others, strict=True)),
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS), choices=list(BUDGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/synthetic_faces_difficulty.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for budget in options.budgets:
        command = f"python -m tools.synthetic_faces.difficulty --budgets {budget} --size {options.size}"
        results[f"{budget}, {options.size} px"] = {
            "command": f"{command} --seed {options.seed} --threads {options.threads}",
            "model": "resnet10t",
            "machine": machine(),
            "torch": torch.__version__,
            **measure(budget, options.seed, options.size),
        }
        text = json.dumps(results, indent=1)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
        print(text)


if __name__ == "__main__":
    main()
