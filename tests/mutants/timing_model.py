"""Mutants of the timing model of the CUDA kernels."""

from tests.mutants.mutant import Mutant

TESTS = "tests/cuda_emulator/test_timing_model.py"


def tool(file: str, old: str, new: str, keywords: str) -> Mutant:
    return Mutant(f"tools/cuda/{file}.py", old, new, (TESTS, "-k", keywords))


MUTANTS = [
    # What instructions compute.
    tool("semantics", "total >> 32 > 0, total >> 32 > 1", "total >> 33 > 0, total >> 32 > 1", "division"),
    tool("semantics", "(signed(high) if arithmetic", "(high if arithmetic", "arithmetic"),
    tool("semantics", 'float_of(bits) < value and "RP" in suffixes', "False", "arithmetic"),
    tool("semantics", '"EX" in suffixes and a == b', '"EX" in suffixes', "in_64_bits"),
    tool("semantics", "mask.bit_count() in (1, 31)", "False", "bits_of_a_register"),
    tool("semantics", "mask.bit_count() in (1, 31)", "True", "bits_of_a_register"),
    tool("semantics", "value = 0xFF if value >> 7 else 0", "value = 0xFF", "halves"),
    tool("semantics", "selected == {None}", "None in selected", "halves"),
    tool("semantics", "selected == {None}", "False", "halves"),
    tool("evaluate", '"-": 1 << 32', '"-": 0', "arithmetic"),
    tool("evaluate", "offset - ARGUMENT_ADDRESS + ARGUMENT, size", "- ARGUMENT_ADDRESS + ARGUMENT, size", "reference"),
    # Which block follows.
    tool("walk", "if not taken:", "if taken:", "over_the_threads"),
    tool("walk", 'or (self.last.base == "EXIT" and bool(self.successors))', "", "over_the_threads"),
    tool(
        "walk",
        "instruction.base in ENDS or instruction.base ==",
        "instruction.base in ENDS and instruction.base ==",
        "barriers",
    ),
    tool("walk", "return self.at[state[last.operands[0]]]", "return block.index + 1", "reference"),
    tool("walk", "needed if instruction.guard else needed - names", "needed - names", "threads or division or data"),
    # When an instruction issues.
    tool("sass", "bits >> 11 & 63", "bits >> 12 & 63", "control_codes"),
    tool("sass", "stall=bits & 15", "stall=bits & 7", "control_codes"),
    tool("warp_timing", "now = max([now, *(boards[i] for i in control.waits)])", "now += 0", "awaited"),
    tool(
        "warp_timing", "if control.write is not None and runs and", "if control.write is not None and", "switched_off"
    ),
    tool("warp_timing", "*groups[: max(complete, 0)]", "*groups", "by_group"),
    tool("warp_timing", "0 if index == self.expected else JUMP", "0", "next_block"),
    tool("warp_timing", "tuple(max(0, board - now) for board in boards)", "(0,) * SCOREBOARDS", "next_block"),
    # How the warps of a processor share it.
    tool("kernel_timing", "ceil(kernel.registers / 8) * 8", "kernel.registers", "fit_on"),
    tool("kernel_timing", "launch.shared + 1024", "launch.shared", "fit_on"),
    tool("kernel_timing", "warps / 2 * max(shared)", "warps * max(shared)", "share_the_units"),
    tool("kernel_timing", "launch.threads.to_bytes", "launch.blocks.to_bytes", "over_the_threads"),
]
