"""Description of the machine on which a result was measured."""

import os
import platform
from pathlib import Path


def processor_model() -> str:
    """The model as Linux names it, elsewhere as Python does; "" if unknown."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return model or platform.processor()


def describe_machine() -> str:
    """Processor model, number of cores and system, as one line."""
    model = processor_model() or platform.machine()
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {system}"
