"""torch.export and ahead-of-time inductor: a file that a fresh process runs with only torch and sma_kernels."""

import json

import pytest
import torch
from torch.testing import assert_close

from sma_models.cli.main import main
from sma_models.models.export import FACTS, export_program, load_deployed
from tests.helpers.checkpoints import EYES, write_checkpoint
from tests.helpers.face_sets import images
from tests.helpers.fresh_process import run_code

pytestmark = pytest.mark.filterwarnings("ignore")
BATCHES = (1, 2, 5)
RUN = """
import sys, torch, sma_kernels
path, inputs, outputs = sys.argv[1:]
program = {load}
found = [program(images) for images in torch.load(inputs)]
assert all(type(head) is sma_kernels.SMAOutput for _, _, head in found)
assert not [name for name in sys.modules if name.startswith(("sma_models", "timm", "lightning"))]
torch.save([(probability, logits, *head) for probability, logits, head in found], outputs)
"""


@pytest.fixture
def trained(tmp_path):
    """A checkpoint, and the results of its network and calibration for a batch."""
    network, calibration = write_checkpoint(tmp_path / "model.ckpt")

    def expected(batch):
        with torch.no_grad():
            logits, head = network(batch)
            return calibration.probabilities(logits), logits, *head

    return tmp_path / "model.ckpt", expected


@pytest.fixture
def checkpoint(trained):
    return trained[0]


def outputs_elsewhere(load, path, folder):
    """Outputs of the program at `path` in a fresh process on batches of several sizes, and those batches."""
    batches = [images(count, 64, seed=count) for count in BATCHES]
    torch.save(batches, folder / "inputs.pt")
    run_code(RUN.format(load=load), path, folder / "inputs.pt", folder / "outputs.pt")
    return torch.load(folder / "outputs.pt"), batches


@pytest.mark.mode("torch.export, saved and loaded elsewhere")
def test_exported_program_runs_where_only_the_operators_are(trained, tmp_path, capsys):
    checkpoint, expected = trained
    main(["export", str(checkpoint), "--format", "torch-export"])
    path = checkpoint.with_suffix(".pt2")
    assert capsys.readouterr().out.strip() == str(path)
    actual, batches = outputs_elsewhere("torch.export.load(path).module()", path, tmp_path)
    for outputs, batch in zip(actual, batches, strict=True):
        assert_close(outputs, expected(batch))


@pytest.mark.mode("torch.export, saved and loaded elsewhere")
def test_exported_program_holds_one_operator_and_what_a_user_must_know(checkpoint, tmp_path):
    main(["export", str(checkpoint), "--format", "torch-export", "--out", str(tmp_path / "a.pt2")])
    extra = {FACTS: ""}
    program = torch.export.load(tmp_path / "a.pt2", extra_files=extra)
    names = [str(node.target) for node in program.graph.nodes if str(node.target).startswith("sma_kernels")]
    assert names == ["sma_kernels.sma_attention.default"]
    facts = json.loads(extra[FACTS])
    assert facts["regions"] == ["AU1", "AU12"] and facts["image_size"] == 64 and facts["alignment"] == EYES
    assert facts["threshold"] == [-9.0, 9.0]


@pytest.mark.mode("AOTInductor, loaded elsewhere")
def test_ahead_of_time_package_runs_where_only_the_operators_are(tmp_path):
    # "mean" has no argmax output, which the compiler must support.
    write_checkpoint(tmp_path / "mean.ckpt", merge="mean")
    deployed, _ = load_deployed(tmp_path / "mean.ckpt")
    path = torch._inductor.aoti_compile_and_package(export_program(deployed), package_path=str(tmp_path / "aoti.pt2"))
    actual, batches = outputs_elsewhere("torch._inductor.aoti_load_package(path)", path, tmp_path)
    for outputs, batch in zip(actual, batches, strict=True):
        probability, logits, head = deployed(batch)
        assert_close(outputs, (probability, logits, *head), rtol=1e-4, atol=1e-5)
