"""The `sma-net` script as started by a shell: help, and one-line messages for user errors."""

import os
import subprocess
import sys

import pytest

SCRIPT = "from sma_models.cli import console; console()"


def sma_net(*arguments, folder=None, script=SCRIPT, **environment):
    """The finished process of one command."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
    )


def test_the_command_explains_itself():
    for arguments in ((), ("--help",), ("-h",)):
        shown = sma_net(*arguments)
        assert shown.returncode == 0
        assert "sma-net COMMAND" in shown.stdout


@pytest.mark.parametrize("words", [("train",), ("data", "list")])
def test_what_is_no_command_is_refused_and_named(words):
    refused = sma_net(*words)
    assert refused.returncode == 1
    assert f"{' '.join(words)!r} is not a command" in refused.stderr
    assert "sma-net COMMAND" in refused.stderr


def test_info_takes_its_own_options():
    assert "reference   runs" in sma_net("info").stdout
    assert sma_net("info", "--require", "nothing").returncode == 1


@pytest.mark.parametrize(
    "table, mistake",
    [
        ("image,subject,expression\nabsent.jpg,p1,joy\n", "faces.csv, line 2: there is no file"),
        ("image,subject\na.jpg,p1\n", "faces.csv"),
    ],
)
def test_a_mistake_is_reported_in_one_line(tmp_path, table, mistake):
    (tmp_path / "faces.csv").write_text(table)
    failed = sma_net("fit", "--config", "csv_fer.yaml", "--data.csv", "faces.csv", folder=tmp_path)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith("sma-net: error: ")
    assert mistake in failed.stderr.splitlines()[-1]


def test_a_file_that_is_not_there_is_reported_in_one_line(tmp_path):
    failed = sma_net("predict", "absent.ckpt", "absent.jpg", folder=tmp_path)
    assert (failed.returncode, failed.stderr) == (1, "sma-net: error: there is no file or folder absent.jpg\n")


def test_the_traceback_is_there_for_who_wants_it(tmp_path):
    failed = sma_net("predict", "absent.ckpt", "absent.jpg", folder=tmp_path, SMA_TRACEBACK="1")
    assert "Traceback" in failed.stderr
    assert "FileNotFoundError" in failed.stderr


def test_a_fault_of_ours_keeps_its_traceback(tmp_path):
    broken = "import sma_models.cli.predict as p; p.main = lambda rest: [][0]; " + SCRIPT
    failed = sma_net("predict", script=broken)
    assert "Traceback" in failed.stderr
    assert "IndexError" in failed.stderr
