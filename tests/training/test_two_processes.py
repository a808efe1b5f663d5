"""`sma-net test` on two processes, as started by a user: every sample counts once, and metrics equal those of one process."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sma_models.metrics.predictions import PREDICTIONS, read_predictions
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_sets import EXPRESSIONS, au_csv, expression_csv, loaded

pytestmark = pytest.mark.filterwarnings("ignore")


def measure(folder, task, table, processes, *options):
    """The predictions and scores of one checkpoint on the test split of a table."""
    (folder / "sma_net.py").write_text("from sma_models.cli import main\n\nmain()\n")
    out = folder / f"{processes}"
    arguments = [
        *("test", f"--model={task}", "--data=CSVFaces", f"--data.csv={table}", "--data.fold=all"),
        *("--data.batch_size=4", "--data.num_workers=0", "--trainer.accelerator=cpu", *options),
        *(f"--trainer.logger.save_dir={out}", "--trainer.logger.version=run", "--trainer.enable_progress_bar=false"),
        *(() if processes == 1 else ("--trainer.strategy=ddp", f"--trainer.devices={processes}")),
        f"--ckpt_path={folder / 'model.ckpt'}",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(folder / "sma_net.py"), *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert ("distributed_backend=gloo" in done.stderr + done.stdout) == (processes > 1)
    run = out / "sma_net" / "run"
    return json.loads((run / "scores_test.json").read_text()), read_predictions(run / PREDICTIONS)


def keep_rows(table, count):
    """Keep only the first `count` rows."""
    table.write_text("\n".join(table.read_text().splitlines()[: count + 1]) + "\n")


def same(one, two, count):
    (scores_one, predictions_one), (scores_two, predictions_two) = one, two
    assert scores_one["faces"] == count and len(predictions_one.logits) == len(predictions_two.logits) == count
    assert scores_one == scores_two
    for name in ("labels", "subjects", "sequences", "detected", "threshold"):
        assert (getattr(predictions_one, name) == getattr(predictions_two, name)).all(), name
    np.testing.assert_allclose(predictions_one.logits, predictions_two.logits, atol=1e-5)


def test_action_units(tmp_path):
    # 13 samples are divided into 7 and 6, in batches of 4, 3 and 4, 2.
    table = au_csv(tmp_path)
    keep_rows(table, 13)
    write_checkpoint(tmp_path / "model.ckpt", alignment=None)
    one, two = (measure(tmp_path, "ActionUnitTask", table, processes) for processes in (1, 2))
    same(one, two, 13)
    assert one[0]["scores"]["auc"][0] is not None


def test_expressions(tmp_path):
    table = expression_csv(tmp_path)
    keep_rows(table, 7)
    write_checkpoint(tmp_path / "model.ckpt", EXPRESSIONS, "expression", alignment=None)
    # A table of few rows need not contain every class.
    classes = f"--data.classes=[{','.join(EXPRESSIONS)}]"
    one, two = (measure(tmp_path, "ExpressionTask", table, processes, classes) for processes in (1, 2))
    same(one, two, 7)
    assert np.sum(two[0]["scores"]["confusion"]) == 7


def test_a_process_without_a_sample_is_refused(tmp_path, monkeypatch):
    data = loaded(expression_csv(tmp_path), fold="all")
    for processes, refused in ((90, False), (91, True)):
        monkeypatch.setattr(data, "_share", lambda processes=processes: (processes, 0))
        if refused:
            with pytest.raises(ValueError, match="got 90 samples and 91 processes"):
                data.test_dataloader()
        else:
            assert len(data.test_dataloader()) == 1
