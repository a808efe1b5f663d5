"""Registers, spills and instructions of the compiled CUDA kernels.

python -m tests.cuda_emulator.machine_code             prints the committed table
python -m tests.cuda_emulator.machine_code --write     compiles for 8.0 and 9.0 and writes it
"""

import argparse
import hashlib
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from tests.cuda_emulator.build import BUILD, KERNELS, cuda_build
from tools.cuda import sass, tables

TABLE = Path(__file__).with_name("machine_code.json")
ARCHITECTURES = ("80", "90")
# The counted machine instructions, by patterns of their names.
COUNTED = {
    "tensor": r"HMMA",
    "matrix_loads": r"LDSM",
    "async_copies_128": r"LDGSTS\.[\w.]*128",
    "async_copies": r"LDGSTS",
    "stores_128": r"STG\.[\w.]*128",
    "barriers": r"BAR\.SYNC",
    "shuffles": r"SHFL",
    "local": r"(LDL|STL)",
    "atomics": r"(ATOM|RED)\b",
}


def short_name(mangled: str) -> str:
    """`pool bf16 16-bit 4` from the symbol of pool<__nv_bfloat16, mma_16bit<__nv_bfloat16>, 4>."""
    name = re.match(r"_ZN3sma4cuda(?:12_GLOBAL__N_\S*?)?\d*([a-z_]+)I", mangled)
    if name is None:
        return "reduce_parameters"
    kernel = re.sub(r"^\d+", "", name[1])
    dtype = "bf16" if "nv_bfloat16" in mangled else "f16" if "__half" in mangled else "f32"
    variants = {"mma_ieee": "ieee", "mma_tf32": "tf32", "mma_16bit": "16-bit", "Li2ELb": "2 parts", "Li3ELb": "3 parts"}
    names = [kernel, dtype, *(short for symbol, short in variants.items() if symbol in mangled)]
    last = re.search(r"EL([ib])(\d+)EEEv", mangled)
    if last is not None:
        names.append(last[2] if last[1] == "i" else "shared" if last[2] == "1" else "workspace")
    return " ".join(names)


def facts_of(source: Path, architecture: str) -> dict[str, dict]:
    """Facts of every kernel in `source`, by short name."""
    cubin = sass.compiled(source, architecture)
    kernels: dict[str, dict] = sass.usage(cubin)
    for symbol, section in sass.sections(sass.disassemble(cubin)):
        if symbol in kernels:
            names = Counter()
            for instruction in re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z][\w.]*)", section):
                for counted, pattern in COUNTED.items():
                    names[counted] += bool(re.match(pattern, instruction))
            kernels[symbol].update({counted: names[counted] for counted in COUNTED})
    return {short_name(symbol): facts for symbol, facts in kernels.items()}


def measure() -> dict[str, dict]:
    """{architecture: {kernel: facts}}"""
    sources = sorted(KERNELS.glob("*.cu"))
    jobs = [(source, architecture) for architecture in ARCHITECTURES for source in sources]
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda job: facts_of(*job), jobs))
    facts: dict[str, dict] = {architecture: {} for architecture in ARCHITECTURES}
    for (_, architecture), part in zip(jobs, parts, strict=True):
        facts[architecture].update(part)
    return {architecture: dict(sorted(part.items())) for architecture, part in facts.items()}


def measure_once() -> dict[str, dict]:
    """`measure()`, cached for other processes until a source, this file or the compiler changes."""
    text = hashlib.sha256(cuda_build.release_of(cuda_build.find_home()).encode())
    for source in (*sorted(path for path in KERNELS.parent.rglob("*") if path.is_file()), Path(__file__)):
        text.update(source.read_bytes())
    cached = BUILD / f"machine_code-{text.hexdigest()[:16]}.json"
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "machine_code.lock"):
        if not cached.exists():
            cached.write_text(json.dumps(measure()))
        return json.loads(cached.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="compile and write the table")
    if parser.parse_args().write:
        TABLE.write_text(tables.as_text(measure()) + "\n")
    print("| kernel | target | registers | stack | " + " | ".join(COUNTED) + " |")
    print("|---" * (len(COUNTED) + 4) + "|")
    for architecture, kernels in json.loads(TABLE.read_text()).items():
        for name, facts in kernels.items():
            cells = [name, f"sm_{architecture}", *(facts[key] for key in ("registers", "stack", *COUNTED))]
            print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
