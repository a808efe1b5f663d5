"""`python -m benchmarks.gpu_report.gpu_environment`: hardware, versions, tools, and bandwidth of the machine."""

import argparse
import importlib
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import torch

from benchmarks.environment import environment
from benchmarks.gpu_report.commands import emit
from benchmarks.timing import copy_bandwidth

TOOLS = ("git", "nvcc", "gcc", "ncu", "compute-sanitizer")
PACKAGES = ("triton", "numpy", "cv2", "pytest", "timm")
QUERY = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit,temperature.gpu"


def _version(package: str) -> str:
    try:
        return str(getattr(importlib.import_module(package), "__version__", "unknown version"))
    except Exception as error:  # an import failure is a result, too
        return f"does not load: {type(error).__name__}: {error}"[:200]


def _nvidia_smi() -> dict[str, str]:
    try:
        command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
        process = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"nvidia-smi": f"does not run: {error}"}
    if process.returncode:
        return {"nvidia-smi": (process.stdout + process.stderr).strip()[:200]}
    return dict(zip(QUERY.split(","), process.stdout.splitlines()[0].split(", "), strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_report.gpu_environment", description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="of the CPU, for a dry run")
    cpu = parser.parse_args().cpu or not torch.cuda.is_available()
    device = torch.device("cpu" if cpu else "cuda")
    emit(environment=environment(device))
    emit(environment={package: _version(package) for package in PACKAGES})
    emit(environment={tool: "present" if shutil.which(tool) else "absent" for tool in TOOLS})
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    emit(environment={"Python.h": "present" if header.exists() else "absent: Triton cannot compile its launchers"})
    emit(environment={"cpus": os.cpu_count(), "float32 products": torch.backends.cuda.matmul.fp32_precision})
    emit(environment={"Triton settings": sorted(name for name in os.environ if name.startswith("TRITON_"))})
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        emit(
            environment={"memory_gib": round(properties.total_memory / 2**30), "l2_mib": properties.L2_cache_size >> 20}
        )
        emit(environment=_nvidia_smi())
    size = 2**30 if device.type == "cuda" else 2**24
    emit(environment={"copy_bytes_per_second": round(copy_bandwidth(device, size))})


if __name__ == "__main__":
    main()
