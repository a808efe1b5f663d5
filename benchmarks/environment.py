"""Hardware, software and revision, for benchmark results."""

import ctypes
import platform
import subprocess
from pathlib import Path

import torch

from sma_models.utils.environment import processor_model

ROOT = Path(__file__).parents[1]
REVISION = "REVISION"  # a file of the archive that `benchmarks.gpu_kit` packs


_malloc = {"trim": "default"}


def disable_malloc_trim() -> None:
    """Stops glibc from returning freed memory to the system: otherwise the page faults of an implementation depend on
    what ran before it. Other C libraries are not changed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    max_mappings, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    if mallopt(max_mappings, 0) == 1 and mallopt(trim_threshold, 2**31 - 1) == 1:
        _malloc["trim"] = "disabled"


def revision(folder: Path = ROOT) -> str:
    """The commit checked out in `folder`, or that of its archive; "unknown" without git or outside a repository."""
    packed = folder / REVISION
    if packed.exists():
        return packed.read_text().strip()
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def environment(device: torch.device) -> dict[str, str]:
    """Processor, threads, versions and revision; of a CUDA device also the GPU."""
    description = {
        "cpu": processor_model(),
        "threads": str(torch.get_num_threads()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "malloc trim": _malloc["trim"],
        "revision": revision(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        description |= {
            "gpu": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": str(properties.multi_processor_count),
            "cuda": str(torch.version.cuda),
        }
    return description
