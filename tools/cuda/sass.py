"""Compiles the CUDA kernels and reads their machine code: instructions, control codes, source lines."""

import hashlib
import importlib.util
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from tests.cuda_emulator.build import BUILD, KERNELS, cuda_build

INSTRUCTION_BYTES = 16
FLAGS = ("-O3", "-std=c++20", "-cubin", "-lineinfo")


def tool(name: str) -> str | None:
    """The path of cuobjdump or nvdisasm inside Triton."""
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "backends" / "nvidia" / "bin" / name
    return str(path) if path.exists() else None


def why_not() -> str | None:
    if cuda_build.find_home() is None:
        return "needs nvcc"
    return None if tool("cuobjdump") and tool("nvdisasm") else "needs the cuobjdump inside Triton"


def compiled(source: Path, architecture: str) -> Path:
    """The machine code of `source`, compiled unless a file of that folder or the compiler has changed since."""
    home = cuda_build.find_home()
    text = hashlib.sha256(repr((cuda_build.release_of(home), FLAGS)).encode())
    sources = sorted(path for path in source.parent.iterdir() if path.is_file())
    for path in (KERNELS.parent / "sma_attention.h", *sources):
        text.update(path.read_bytes())
    name = f"{source.stem}.{architecture}"
    target = BUILD / f"{name}.{text.hexdigest()[:16]}.cubin"
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / f"{name}.lock"):
        if not target.exists():
            for outdated in BUILD.glob(f"{name}.*.cubin"):
                outdated.unlink()
            partial = target.with_suffix(".partial")
            command = [home / "bin" / "nvcc", *FLAGS, f"-arch=sm_{architecture}", source, "-o", partial]
            subprocess.run(command, check=True, capture_output=True)
            partial.rename(target)
    return target


@dataclass(frozen=True)
class Control:
    """The 21 bits by which the compiler schedules an instruction (Volta to Hopper)."""

    stall: int  # cycles until the next instruction may issue
    write: int | None  # scoreboard released when the result is written
    read: int | None  # scoreboard released when the operands have been read
    waits: tuple[int, ...]  # scoreboards that must be free first

    @classmethod
    def decode(cls, high_word: int) -> "Control":
        bits = high_word >> 41
        write, read, waits = bits >> 5 & 7, bits >> 8 & 7, bits >> 11 & 63
        return cls(
            stall=bits & 15,
            write=None if write == 7 else write,
            read=None if read == 7 else read,
            waits=tuple(i for i in range(6) if waits >> i & 1),
        )


@dataclass
class Instruction:
    address: int
    guard: str | None  # "P0", "!P0", or None
    opcode: str
    operands: tuple[str, ...]
    control: Control
    where: tuple[str, ...]  # source lines "file:line", innermost function first

    @cached_property
    def base(self) -> str:
        return self.opcode.split(".")[0]

    @cached_property
    def suffixes(self) -> tuple[str, ...]:
        return tuple(self.opcode.split(".")[1:])

    @property
    def target(self) -> int | None:
        """The address to which a branch or call goes."""
        last = self.operands[-1] if self.operands else ""
        return int(last, 16) if self.base in ("BRA", "CALL", "BSSY") and last.startswith("0x") else None


@dataclass
class Kernel:
    symbol: str
    registers: int
    instructions: list[Instruction]
    slow_paths: tuple[tuple[int, int], ...]  # address ranges of the library's functions for denormal and huge numbers


def usage(cubin: Path) -> dict[str, dict[str, int]]:
    """Registers and stack bytes of every kernel, by symbol."""
    done = subprocess.run([tool("cuobjdump"), "-res-usage", cubin], check=True, capture_output=True, text=True)
    kernels = {}
    for symbol, rest in re.findall(r"Function (\S+):\s*\n(.*)", done.stdout + done.stderr):
        numbers = dict(re.findall(r"(REG|STACK):(\d+)", rest))
        kernels[symbol] = {"registers": int(numbers["REG"]), "stack": int(numbers["STACK"])}
    return kernels


def disassemble(cubin: Path, *options: str) -> str:
    command = [tool("nvdisasm"), "-c", *options, cubin]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


FILE = re.compile(r'//## File "([^"]+)", line (\d+)( inlined at)?')
INSTRUCTION = re.compile(r"\s+/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;\s+/\* 0x[0-9a-f]+ \*/")
ENCODING = re.compile(r"\s+/\* 0x([0-9a-f]+) \*/")
LABEL = re.compile(r"^([.$\w]+):\s*$")


def split_instruction(text: str) -> tuple[str | None, str, tuple[str, ...]]:
    """("P0", "LDC.64", ("R4", "c[0x0][R0+0x248]")) from `@P0 LDC.64 R4, c[0x0][R0+0x248]`."""
    guard = None
    if text.startswith("@"):
        guard, text = text[1:].split(None, 1)
    opcode, _, rest = text.partition(" ")
    operands = tuple(part.strip().replace(".reuse", "") for part in rest.split(",")) if rest.strip() else ()
    if opcode == "RET.REL.NODEC":
        operands = (operands[0].split()[0],)
    return guard, opcode, operands


def sections(listing: str) -> list[tuple[str, str]]:
    """(symbol, code) of every function in the output of `disassemble`."""
    parts = re.split(r"^\.section\s+\.text\.|\n//-+ \.text\.", listing, flags=re.MULTILINE)[1:]
    return [(re.match(r"[\w$]+", part)[0], part) for part in parts]


def kernels_of(source: Path, architecture: str) -> list[Kernel]:
    cubin = compiled(source, architecture)
    facts = usage(cubin)
    parts = sections(disassemble(cubin, "-hex", "-gi"))
    return [parse_kernel(symbol, section, facts[symbol]) for symbol, section in parts if symbol in facts]


class Listing:
    """The instructions of one function, gathered from the lines of its disassembly."""

    def __init__(self):
        self.labels: dict[str, int] = {}
        self.rows: list[tuple[int, str, tuple[str, ...]]] = []  # address, text, source lines
        self.controls: list[Control] = []
        self._new_labels: list[str] = []
        self._where: list[str] = []
        self._continues = False  # whether the next source line belongs to the same chain of inlined calls

    def read(self, line: str) -> None:
        if label := LABEL.match(line):
            self._new_labels.append(label[1])
        elif source := FILE.search(line):
            where = f"{Path(source[1]).name}:{source[2]}"
            self._where = [*self._where, where] if self._continues else [where]
            self._continues = bool(source[3])
        elif instruction := INSTRUCTION.match(line):
            self.rows.append((int(instruction[1], 16), instruction[2], tuple(self._where)))
            self._place_labels(self.rows[-1][0])
            self._continues = False
        elif (encoding := ENCODING.match(line)) and len(self.controls) < len(self.rows):
            self.controls.append(Control.decode(int(encoding[1], 16)))

    def _place_labels(self, address: int) -> None:
        self.labels |= dict.fromkeys(self._new_labels, address)
        self._new_labels = []

    @property
    def end(self) -> int:
        return self.rows[-1][0] + INSTRUCTION_BYTES

    def instructions(self) -> list[Instruction]:
        self._place_labels(self.end)

        def address_of(label: re.Match) -> str:
            return hex(self.labels.get(label[1], 0))

        return [
            Instruction(address, *split_instruction(re.sub(r"`\(([^)]+)\)", address_of, text)), control, where)
            for (address, text, where), control in zip(self.rows, self.controls, strict=True)
        ]

    def slow_paths(self) -> tuple[tuple[int, int], ...]:
        starts = sorted((address, name) for name, address in self.labels.items() if name.startswith("$"))
        ends = [*(address for address, _ in starts), self.end][1:]
        return tuple((start, end) for (start, name), end in zip(starts, ends, strict=True) if "slowpath" in name)


def parse_kernel(symbol: str, code: str, facts: dict[str, int]) -> Kernel:
    """A kernel from its section of the disassembly and its entry in `usage`."""
    listing = Listing()
    for line in code.splitlines():
        listing.read(line)
    return Kernel(symbol, facts["registers"], listing.instructions(), listing.slow_paths())
