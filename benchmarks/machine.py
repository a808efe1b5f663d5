"""What a figure was measured on."""

import platform
import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


def machine(device: torch.device) -> dict[str, str]:
    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in facts.splitlines() if line.startswith("model name")), "")
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    found = {
        "cpu": model or platform.processor(),
        "threads": str(torch.get_num_threads()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "revision": revision.stdout.strip(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "card": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "processors": str(properties.multi_processor_count),
            "cuda": str(torch.version.cuda),
        }
    return found
