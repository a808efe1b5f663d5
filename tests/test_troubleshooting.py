"""Every message in docs/troubleshooting.md is raised in the situation that the page describes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning import Trainer

from sma_kernels import SMAAttention, sma_attention
from sma_models.cli import main
from sma_models.data import BP4D, CSVFaces
from sma_models.data.position import Position
from sma_models.losses.classification import au_weights
from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.pretrained import build_network
from sma_models.models.sma_net import SMANet
from sma_models.training.preconditions import check_a_score_is_possible, check_precision
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_images import drawn, save
from tests.helpers.face_sets import TINY_CONFIG, au_csv, expression_csv, write_csv, write_image
from tests.training.test_finite import WILD, spoil
from tests.training.test_training import write_config

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
HEADINGS = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)
VALUES, FEATURES, WEIGHT = torch.randn(1, 4, 3, 3), torch.randn(1, 6, 3, 3), torch.randn(2, 3, 2)


def command(*words):
    main([str(word) for word in words])


def table(folder, **cells):
    """A CSV file of four rows by two people, all with these cells."""
    for n in range(4):
        write_image(folder / f"face{n}.png", (90, 90, 90))
    rows = [{"image": f"face{n}.png", "subject": f"s{n % 2}"} | cells for n in range(4)]
    return write_csv(folder / "faces.csv", rows)


def load(path, **settings):
    CSVFaces(str(path), **settings).setup("fit")


def missing_python(folder):
    done = subprocess.run(["sh", ROOT / "tools/check_machine.sh", "no-python"], capture_output=True, text=True)
    raise SystemExit(done.stderr)


def not_compiled(folder):
    """A copy of the package in a separate folder, without its compiled module."""
    for file in (ROOT / "sma_kernels").rglob("*.py"):
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    choice = Path("sma_kernels", "backends", "preference.json")
    (folder / choice).write_text((ROOT / choice).read_text())
    run = [sys.executable, "-W", "error", "-c", "import sma_kernels.backends.extension"]
    done = subprocess.run(run, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True)
    raise UserWarning(done.stderr.splitlines()[-1])


def second_derivative(folder):
    values = VALUES.clone().requires_grad_()
    pooled = sma_attention(values, FEATURES, WEIGHT, backend="cpu").pooled
    (gradient,) = torch.autograd.grad(pooled.square().sum(), values, create_graph=True)
    gradient.sum().backward()


def one_person(folder):
    """With two people, one is tested, and only one is left for training and validation."""
    write_image(folder / "face.png", (90, 90, 90))
    write_image(folder / "other.png", (90, 90, 90))
    names = ("face.png", "other.png")
    rows = [{"image": name, "subject": f"s{n}", "fold": n, "expression": "fear"} for n, name in enumerate(names)]
    load(write_csv(folder / "faces.csv", rows))


def damaged(folder):
    write_checkpoint(folder / "best.ckpt")
    whole = (folder / "best.ckpt").read_bytes()
    (folder / "best.ckpt").write_bytes(whole[: len(whole) // 2])
    load_checkpoint(folder / "best.ckpt")


def other_entry(folder):
    torch.save({"state_dict": {}}, folder / "other.ckpt")
    load_checkpoint(folder / "other.ckpt")


def other_version(folder):
    write_checkpoint(folder / "old.ckpt")
    content = torch.load(folder / "old.ckpt", weights_only=True)
    del content["state_dict"]["network.classifier.bias"]
    torch.save(content, folder / "old.ckpt")
    load_checkpoint(folder / "old.ckpt")


def other_template(folder):
    write_checkpoint(folder / "best.ckpt")
    save(folder / "crops/face.png", drawn(1)[0])
    (folder / "crops/alignment.json").write_text('{"template": "eyes_nose", "detector": "yunet", "size": 256}')
    command("predict", folder / "best.ckpt", folder / "crops", "--crops")


def not_aligned(folder):
    write_checkpoint(folder / "best.ckpt", alignment=None)
    save(folder / "face.png", drawn(1)[0])
    command("predict", folder / "best.ckpt", folder / "face.png")


def other_settings(folder):
    (folder / "out").mkdir()
    (folder / "out" / "settings.yaml").write_text("batch_size: 3\n")
    csv = au_csv(folder, subjects=5)
    words = ["--config", "csv_fer.yaml", "--model", "sma_models.training.task.ActionUnitTask", "--data.csv", csv]
    command("crossval", *words, "--out", folder / "out")


def diverging(folder):
    command("fit", "--config", write_config(folder, "ExpressionTask", expression_csv(folder)), *WILD,
            f"--trainer.logger.save_dir={folder}")  # fmt: skip


def not_finite(folder):
    write_checkpoint(folder / "model.ckpt")
    load_checkpoint(spoil(folder / "model.ckpt"))


def no_score(folder):
    splits = ("train", "val")
    for split in splits:
        write_image(folder / f"{split}.png", (90, 90, 90))
    rows = [{"image": f"{split}.png", "subject": split, "AU1": 1, "split": split} for split in splits]
    data = CSVFaces(str(write_csv(folder / "faces.csv", rows)))
    data.setup("fit")
    check_a_score_is_possible(data)


def no_run(folder):
    (folder / "notes.txt").write_text("")
    command("report", folder)


def latin(folder):
    path = table(folder, expression="déçu")
    path.write_bytes(path.read_text().encode("latin-1"))
    load(path)


def one_expression(folder):
    data = CSVFaces(str(table(folder, expression="fear")), selection="last")
    data.setup("fit")
    data.train_dataloader()


def units(folder, value):
    load(table(folder, AU1=value))


CAUSES = {
    "sma-kernels: … was not found": missing_python,
    "sma_kernels has no compiled module": not_compiled,
    "features must have": lambda _: sma_attention(VALUES, torch.randn(1, 5, 3, 3), WEIGHT),
    "values and features must agree": lambda _: sma_attention(VALUES, torch.randn(1, 6, 4, 3), WEIGHT),
    "… must be torch.float32": lambda _: sma_attention(VALUES.bfloat16(), FEATURES.bfloat16(), WEIGHT.half()),
    "backend='…' cannot run": lambda _: sma_attention(VALUES.half().double(), FEATURES.double(), WEIGHT.double(),
                                                      backend="triton"),
    "second derivatives": second_derivative,
    "gate must lie": lambda _: SMAAttention(4, 2, gate=1.0),
    "…: expected either a column": lambda folder: load(table(folder, emotion="fear")),
    "…: column '…' resembles": lambda folder: load(table(folder, Expression="fear")),
    "…: column '…' occurs twice": lambda folder: load(table(folder, AU1=1, AU01=1)),
    "…, line …: expected UTF-8": latin,
    "…: a class must not be named": lambda folder: load(table(folder, expression="score")),
    "…: expected at least two expressions": one_expression,
    "…, line …: there is no file": lambda folder: load(table(folder, image="none.png", AU1=1)),
    "…, line …: AU… is": lambda folder: units(folder, 3),
    "…, line …: unknown expression": lambda folder: load(table(folder, expression="fera"), classes=["fear"]),
    "fold must be one of": lambda folder: load(au_csv(folder), fold="7"),
    "subjects must be at least two": one_person,
    "no training subject shows": lambda _: au_weights(torch.zeros(3, 1).bool(), torch.ones(3, 1).bool(), ["AU2"]),
    "no epoch can be selected": no_score,
    "the loss is … at step": diverging,
    "there is no …: 'sma-net data check": lambda folder: BP4D(manifest=str(folder / "bp4d.csv")).setup("fit"),
    "backbone must name": lambda _: SMANet(["AU1"], backbone="resnet_of_mine"),
    "timm cannot build": lambda _: SMANet(["AU1"], backbone="resnet10t", stage=9),
    "pretrained: expected": lambda folder: build_network(["AU1"], TINY_CONFIG, pretrained=str(folder / "no.pt")),
    "there is no checkpoint": lambda folder: command("visualize", folder / "no.ckpt", "--out", folder),
    "checkpoint … is damaged": damaged,
    "… has weights that are NaN": not_finite,
    "a resumed run needs the samples": lambda _: Position(1, 8, 8, 1, 0, "").resume({"samples": 8}),
    "trainer.precision must be": lambda _: check_precision(Trainer(accelerator="cpu", precision="64-true", logger=False)),
    "… is not an SMA-Net checkpoint": other_entry,
    "… does not fit this version": other_version,
    "--ckpt_path is required: the checkpoint to": lambda folder: command("test", "--config", "csv_fer.yaml", "--data.csv",
                                                                      au_csv(folder)),
    "the checkpoint was trained on faces aligned": other_template,
    "the checkpoint was trained on images that": not_aligned,
    "… was created with different settings": other_settings,
    "expected the folder of a run": no_run,
}  # fmt: skip


def test_every_message_has_a_cause_and_every_cause_a_message():
    assert len(HEADINGS) == len(CAUSES)
    for start in CAUSES:
        assert sum(heading.startswith(start) for heading in HEADINGS) == 1, start


@pytest.mark.parametrize("start", CAUSES)
@pytest.mark.filterwarnings("ignore")
def test_the_message_is_what_is_raised(start, tmp_path):
    (heading,) = (heading for heading in HEADINGS if heading.startswith(start))
    with pytest.raises((ValueError, TypeError, RuntimeError, OSError, SystemExit, UserWarning)) as raised:
        CAUSES[start](tmp_path)
    told = " ".join(str(raised.value).replace("`", "'").split()).removeprefix("UserWarning: ")
    pattern = "(.|\n)*?".join(map(re.escape, heading.split("…")))
    assert re.match(pattern, told), told
