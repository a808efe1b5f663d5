"""Settings of a run that is stopped and resumed, and the uninterrupted run."""

import pytest

from tests.helpers.resumed_runs import NETWORK, SETTINGS, fit, noisy_csv, stop
from tests.training.test_training import YAML, folder_of


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return noisy_csv(tmp_path_factory.mktemp("noisy"))


@pytest.fixture(scope="module")
def config(tmp_path_factory, table):
    """Three batches per epoch, four epochs, saved after each step."""
    path = tmp_path_factory.mktemp("settings") / "config.yaml"
    path.write_text((YAML % ("ExpressionTask", NETWORK, table)).replace("max_epochs: 2", "max_epochs: 4") + SETTINGS)
    return str(path)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """Batches and folder of the uninterrupted run with these additional settings."""
    runs = {}

    def get(*options):
        if options not in runs:
            out = tmp_path_factory.mktemp("whole")
            runs[options] = fit(config, out, *options), folder_of(out)
        return runs[options]

    return get


@pytest.fixture(scope="module")
def within(config, tmp_path_factory):
    """last.ckpt of a run stopped during its second epoch."""
    out = tmp_path_factory.mktemp("within")
    fit(config, out, *stop("StopAt", 4))
    return folder_of(out) / "checkpoints" / "last.ckpt"
