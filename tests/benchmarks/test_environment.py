"""Results name the measured commit, or say that it is unknown."""

import subprocess

import pytest
import torch

from benchmarks.environment import environment, revision

CPU = torch.device("cpu")


def test_the_revision_is_that_of_the_checkout(tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except FileNotFoundError:
        pytest.skip("needs git")
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    full = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert len(revision(tmp_path)) >= 7 and full.startswith(revision(tmp_path))


def test_without_git_the_revision_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment(CPU)["revision"] == "unknown"


def test_outside_a_repository_the_revision_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision(tmp_path) == "unknown"


def test_an_archive_knows_its_commit(tmp_path):
    """Even if it was unpacked inside another repository."""
    (tmp_path / "REVISION").write_text("abc1234\n")
    assert revision(tmp_path) == "abc1234"
