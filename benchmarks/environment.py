"""What a figure was measured on."""

import ctypes
import platform
import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
REVISION = "REVISION"  # a file of the archive that `benchmarks.gpu_kit` packs


_heap = {"kept": False}


def keep_heap() -> None:
    """Lets glibc keep freed memory for this process instead of giving it back to the system: how many page faults a peer
    takes to get it again depends on who ran before it. Other C libraries are left as they are."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    most_mappings, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    _heap["kept"] = mallopt(most_mappings, 0) == 1 and mallopt(trim_threshold, 2**31 - 1) == 1


def revision(folder: Path = ROOT) -> str:
    """The commit that is checked out in `folder`, or that its archive was made of; "unknown" without git or outside a
    repository."""
    packed = folder / REVISION
    if packed.exists():
        return packed.read_text().strip()
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(device: torch.device) -> dict[str, str]:
    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in facts.splitlines() if line.startswith("model name")), "")
    found = {
        "cpu": model or platform.processor(),
        "threads": str(torch.get_num_threads()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "heap": "kept" if _heap["kept"] else "default",
        "revision": revision(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": str(properties.multi_processor_count),
            "cuda": str(torch.version.cuda),
        }
    return found
