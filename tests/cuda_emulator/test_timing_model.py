"""The timing model follows loops exactly, times instructions by their control codes, and no kernel gets slower in it."""

import json
import struct
from types import SimpleNamespace

import pytest

from tests.cuda_emulator import build, emulated
from tools.cuda import sass, timing_model
from tools.cuda.evaluate import Evaluator
from tools.cuda.kernel_timing import Launch, block_cycles, blocks_per_processor, constant_memory, predict, walk_thread
from tools.cuda.sass import Control, Instruction
from tools.cuda.walk import Block, Walker
from tools.cuda.warp_timing import BARRIER, COPY, JUMP, LATENCY, Costs, WarpTimer

PROBE = build.HERE / "timing_probe.cu"
MORE = 1.03  # how much instructions and cycles may exceed the table
UPDATE = "python -m tools.cuda.timing_model --write"


@pytest.fixture(scope="module")
def probes():
    if sass.why_not():
        pytest.skip(sass.why_not())
    kernels = sass.kernels_of(PROBE, timing_model.ARCHITECTURE)
    return {kernel.symbol.removeprefix("_Z").lstrip("0123456789").removesuffix("5Trips"): kernel for kernel in kernels}


def probe_launch(count: int = 0, divisor: int = 1, wide: tuple[int, int] = (0, 1), flag: bool = True) -> Launch:
    argument = struct.pack("<qqiiqq?", 16, 16, count, divisor, *wide, flag)
    return emulated.Launch("probe", 1, 64, 0, 1, 0, argument)


def parts_of(kernel: sass.Kernel, launch: Launch, thread: int = 0) -> list[Costs]:
    return walk_thread(Walker(kernel, constant_memory(launch)), thread)


def trips(kernel: sass.Kernel, launch: Launch, thread: int = 0) -> int:
    """Elements of 4 bytes that a thread writes."""
    return sum(part.bytes for part in parts_of(kernel, launch, thread)) // 4


@pytest.mark.parametrize("count", (0, 1, 63, 64, 65, 200, 1000))
@pytest.mark.parametrize("thread", (0, 63))
def test_a_loop_over_the_threads(count, thread, probes):
    assert trips(probes["strided"], probe_launch(count), thread) == len(range(thread, count, 64))


@pytest.mark.parametrize("count, divisor", ((100, 7), (99, 9), (5, 6), (12, -5), (64, 3)))
def test_loops_bounded_by_a_division_and_a_remainder(count, divisor, probes):
    quotient = int(count / divisor)
    expected = sum(i % abs(divisor) for i in range(quotient))
    assert trips(probes["divided"], probe_launch(count, divisor)) == expected


@pytest.mark.parametrize("wide", ((1000, 3), (77 << 33, 1 << 33), (5 << 32, 3 << 31), (6, 7 << 40)))
def test_a_loop_bounded_by_a_division_in_64_bits(wide, probes):
    assert trips(probes["wide"], probe_launch(wide=wide)) == wide[0] // wide[1]


@pytest.mark.parametrize("flag", (False, True))
def test_data_do_not_hide_what_is_known(flag, probes):
    assert trips(probes["depends_on_data"], probe_launch(13, flag=flag)) == 13 * flag


@pytest.mark.parametrize("count, most, step", ((0, 20, 3), (19, 20, 1), (25, 20, 7)))
def test_an_argument_passed_by_reference(count, most, step, probes):
    assert trips(probes["by_reference"], probe_launch(count, step, (most, 1)), 5) == sum(
        len(range(first, most, step)) for first in (5, count)
    )


def evaluated(opcode: str, *operands: str, **registers: int) -> dict[str, int | None]:
    state: dict = dict(registers)
    Evaluator(b"", {}).bind(instruction(opcode, *operands))(state)
    return state


def test_arithmetic():
    assert evaluated("SHF.R.S32.HI", "R4", "RZ", "0x4", "R5", R5=0xFFFFFF00)["R4"] == 0xFFFFFFF0
    assert evaluated("SHF.L.U64.HI", "R4", "R5", "0x4", "R6", R5=0xF0000000, R6=1)["R4"] == 0x1F
    assert evaluated("IADD3", "R4", "P1", "R5", "-RZ", "RZ", R5=3)["P1"] is True
    assert evaluated("IADD3", "R4", "P1", "R5", "-R6", "RZ", R5=3, R6=4)["P1"] is False
    assert evaluated("LEA.HI.X.SX32", "R4", "R5", "RZ", "0x1", "PT", R5=0x80000000)["R4"] == 0
    assert evaluated("VIADDMNMX", "R4", "R5", "-0x1", "0x5", "!PT", R5=0)["R4"] == 5
    assert (
        evaluated("I2F.RP", "R4", "R5", R5=(1 << 24) + 1)["R4"]
        == struct.unpack("<I", struct.pack("<f", (1 << 24) + 2))[0]
    )
    assert evaluated("HFMA2.MMA", "R4", "-RZ", "RZ", "0", "5.9604644775390625e-08")["R4"] == 1


def test_predicates_in_the_bits_of_a_register():
    """Those that are known stay known beside one that is not."""
    cleared = evaluated("LOP3.LUT", "R4", "R4", "0xfffffffd", "RZ", "0xc0", "!PT")
    assert evaluated("LOP3.LUT", "R4", "R4", "0x4", "RZ", "0xfc", "!PT", R4=cleared["R4"])["R4"] == 4
    assert evaluated("LOP3.LUT", "P0", "RZ", "R4", "0x4", "RZ", "0xc0", "!PT", R4=4)["P0"] is True
    assert evaluated("LOP3.LUT", "R4", "R4", "0xff", "RZ", "0xc0", "!PT")["R4"] is None
    assert evaluated("P2R", "R4", "PR", "RZ", "0x3", P0=True, P1=False, P2=True)["R4"] == 1
    assert evaluated("P2R", "R4", "PR", "RZ", "0x3", P0=True)["R4"] is None


def test_halves_of_a_register():
    assert evaluated("PRMT", "R4", "R5", "0x7610", "R6", R5=0x1234)["R4"] == 0x1234
    assert evaluated("PRMT", "R4", "R5", "0x5410", "R6", R5=0x1234, R6=0xABCD)["R4"] == 0xABCD1234
    assert evaluated("PRMT", "R4", "R5", "0x9910", "RZ", R5=0xFF80)["R4"] == 0xFFFFFF80
    assert evaluated("PRMT", "R4", "R5", "0x9910", "RZ", R5=0x7F80)["R4"] == 0x7F80
    assert evaluated("PRMT", "R4", "R5", "0x3210", "R6", R6=1)["R4"] is None


def test_barriers_divide_a_walk(probes):
    parts = parts_of(probes["by_barriers"], probe_launch(5), 0)
    assert [part.bytes for part in parts] == [4] * 5 + [0]
    assert [part.bytes for part in parts_of(probes["by_barriers"], probe_launch(5), 32)] == [0] * 6


def test_cycles_by_source_line_and_by_file_add_up(probes):
    prediction = predict(probes["strided"], probe_launch(200))
    assert prediction.lines.total() == prediction.files.total() == prediction.cycles > 0
    assert set(prediction.files) == {"timing_probe.cu"}


def test_every_opcode_that_decides_a_branch_is_modelled(probes):
    assert {opcode for probe in probes.values() for opcode in Walker(probe, b"").unmodelled} == set()


def instruction(opcode: str, *operands: str, guard: str | None = None, **control) -> Instruction:
    control = {"stall": 1, "write": None, "read": None, "waits": (), **control}
    return Instruction(0, guard, opcode, operands, Control(**control), ())


@pytest.mark.parametrize(
    "word, control",
    (
        (0x000E220000002500, Control(1, 0, None, ())),  # S2UR UR4, SR_CTAID.X
        (0x001FC8000BF04070, Control(4, None, None, (0,))),  # ISETP that reads UR4
        (0x012962000C101900, Control(1, 5, 4, (1, 4))),  # LD.E R22
        (0x000FDE0000000000, Control(15, None, None, ())),  # BRA
    ),
)
def test_control_codes(word, control):
    assert Control.decode(word) == control


def cycles(*instructions: Instruction, executed: tuple[bool, ...] = ()) -> int:
    return WarpTimer([Block(0, list(instructions))]).run(0, executed).cycles


def test_a_result_is_awaited():
    load = instruction("LDS", "R4", "[R2]", write=2, stall=2)
    assert cycles(load, instruction("FADD", "R5", "R4", "R4")) == 3
    assert cycles(load, instruction("FADD", "R5", "R4", "R4", waits=(2,))) == LATENCY["LDS"] + 1
    assert cycles(load, instruction("FADD", "R5", "R4", "R4", waits=(1,))) == 3


def test_a_load_that_is_switched_off_is_not_awaited():
    load = instruction("LDG.E", "R4", "[R2]", write=0, guard="P0")
    add = instruction("FADD", "R5", "R4", "R4", waits=(0,))
    assert cycles(load, add, executed=(False,)) == 2
    assert cycles(load, add, executed=(True,)) == LATENCY["LDG"] + 1


def test_copies_are_awaited_by_group():
    copy, commit = instruction("LDGSTS.E.128", "[R2]", "[R4]"), instruction("LDGDEPBAR", write=0)
    wait = {pending: instruction("DEPBAR.LE", "SB0", hex(pending)) for pending in (0, 1)}
    assert cycles(copy, commit, copy, commit, wait[1]) == COPY + 1
    assert cycles(copy, commit, copy, commit, wait[0]) == 2 + COPY + 1
    assert cycles(copy, commit, wait[1]) == 3


def test_what_is_left_of_a_wait_passes_to_the_next_block():
    load = instruction("LDS", "R4", "[R2]", write=2)
    blocks = [Block(0, [load]), Block(1, [instruction("BAR.SYNC", "0x0", waits=(2,))])]
    timer = WarpTimer(blocks)
    assert timer.run(0, ()).cycles == 1
    assert timer.run(1, ()).cycles == LATENCY["LDS"] - 1 + BARRIER + 1
    assert timer.run(1, ()).cycles == JUMP + BARRIER + 1


def test_blocks_that_fit_on_a_processor():
    """The first five as Nsight Compute reported them for an H200: grid / (132 * waves)."""
    for registers, threads, shared, expected in (
        (86, 256, 62480, 2),
        (74, 128, 32256, 6),
        (197, 128, 34560, 2),
        (99, 256, 139472, 1),
        (26, 256, 1024, 8),
        (81, 128, 1024, 5),  # registers are allocated by eights
        (32, 128, 45800, 4),  # the system takes 1 KB of each block's shared memory
    ):
        launch = SimpleNamespace(threads=threads, shared=shared)
        assert blocks_per_processor(SimpleNamespace(registers=registers), launch) == expected


def test_warps_share_the_units_between_barriers():
    alone = [Costs(cycles=100, instructions=40), Costs(cycles=10, instructions=40)]
    idle = [Costs(), Costs(instructions=20)]
    assert block_cycles(alone, idle, 2) == 100 + 60
    assert block_cycles(alone, idle, 8) == 160 + 240


@pytest.fixture(scope="module")
def kernels():
    for reason in (sass.why_not(), build.why_not()):
        if reason:
            pytest.skip(reason)
    return timing_model.compiled_kernels()


def test_every_opcode_that_decides_a_branch_of_a_kernel_is_modelled(kernels):
    for name, kernel in kernels.items():
        assert Walker(kernel, b"").unmodelled == set(), name


def test_no_kernel_gets_slower(kernels):
    predicted, committed = timing_model.as_table(kernels), json.loads(timing_model.TABLE.read_text())
    if predicted["compiler"] != committed["compiler"]:
        pytest.skip(f"the table is for nvcc {committed['compiler']}")
    for shape, facts_of_kernels in predicted["shapes"].items():
        assert facts_of_kernels.keys() == committed["shapes"][shape].keys(), f"{UPDATE}: {shape}"
        for kernel, facts in facts_of_kernels.items():
            for fact in ("instructions", "cycles"):
                most = MORE * committed["shapes"][shape][kernel][fact]
                assert facts[fact] <= most, f"{shape}, {kernel}: {facts[fact]} {fact}; {UPDATE} if that is intended"
