"""Small sets of faces on disk and in memory, for the tests of the models."""

import csv

import cv2
import numpy as np
import torch

from sma_models.data import CSVFaces
from sma_models.models.sma_net import NetworkConfig

TINY = {"backbone": "test_resnet", "image_size": 32, "channels": 2, "embed_dim": 4, "stage": 2}
TINY_CONFIG = NetworkConfig(**TINY)
EXPRESSIONS = ("anger", "happiness", "neutral")


def write_image(path, colour, size=(40, 40)):
    """A noisy PNG of (height, width) around one RGB colour."""
    noise = np.random.default_rng(sum(colour)).integers(-20, 20, (*size, 3))
    image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return image


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def expression_csv(folder, subjects=10, each=3):
    """Expressions determined by the colour of the image: `subjects` people show each expression `each` times."""
    rows = []
    for subject in range(subjects):
        for number, name in enumerate(EXPRESSIONS):
            for frame in range(each):
                image = f"s{subject}_{name}_{frame}.png"
                colour = [60, 60, 60]
                colour[number] = 200 + frame
                write_image(folder / image, colour)
                rows.append({"image": image, "subject": f"s{subject:02d}", "expression": name, "frame": frame})
    return write_csv(folder / "faces.csv", rows)


def au_csv(folder, subjects=10, each=6):
    """Two action units shown as red and green; the second is unknown in every fifth row."""
    rows = []
    for subject in range(subjects):
        for frame in range(each):
            first, second = frame % 2, frame // 2 % 2
            image = f"s{subject}_{frame}.png"
            write_image(folder / image, (60 + 140 * first, 60 + 140 * second, 60 + frame))
            unknown = (subject * each + frame) % 5 == 0
            rows.append({"image": image, "subject": f"s{subject:02d}", "AU1": first, "AU12": 9 if unknown else second})
    return write_csv(folder / "units.csv", rows)


def loaded(path, **settings):
    """A CSVFaces data module after `setup`."""
    data = CSVFaces(str(path), **{"num_workers": 0, "batch_size": 8, "image_size": 32} | settings)
    data.setup("fit")
    return data


def rows_with(folder, **columns):
    """A CSV file with one row per value of the columns, and images that look the same."""
    count = len(next(iter(columns.values())))
    for number in range(count):
        write_image(folder / f"{number}.png", (10, 200, 90), size=(9, 9))
    return write_csv(
        folder / "faces.csv", [{"image": f"{i}.png"} | {k: v[i] for k, v in columns.items()} for i in range(count)]
    )


def people(data, split):
    return set(data.faces.subjects[getattr(data.splits, split)])


def images(count, size=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
