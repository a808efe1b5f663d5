"""OpenCV 5, which has no cascades, in a fresh process: all imports work, and the detector names the cause and the remedy."""

import os
import subprocess
import sys

import pytest

# Removes what OpenCV 5 dropped, before anything else is imported.
PROGRAM = """
import cv2
for name in ("CascadeClassifier", "data"):
    vars(cv2).pop(name, None)
import importlib, pkgutil
for package in ("sma_models", "benchmarks", "tests.faces"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
            print(module.name)
from sma_models.cli import console
print("imported")
console()
"""


@pytest.fixture(scope="module")
def aligned(tmp_path_factory) -> subprocess.CompletedProcess:
    """The process that imported every module, then ran `sma-net align` without --yunet."""
    folder = tmp_path_factory.mktemp("images")
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "align", str(folder), str(folder / "crops")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_everything_imports(aligned):
    modules = aligned.stdout.split()
    assert "imported" in modules, aligned.stderr[-2000:]
    assert {"sma_models.faces.detect", "tests.faces.test_detection"} <= set(modules)


def test_the_cascade_detector_names_cause_and_cure(aligned):
    assert aligned.returncode == 1
    assert "error: OpenCV" in aligned.stderr and "has no face cascades" in aligned.stderr
    assert "opencv-python<5" in aligned.stderr and "--yunet" in aligned.stderr
    assert "Traceback" not in aligned.stderr
