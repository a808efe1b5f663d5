"""Breaks of what torch's modes of use rest on."""

from tests.mutants.mutant import Mutant

COMPILE = "tests/pytorch/test_compile.py"


MUTANTS = [
    # torch.compile.
    Mutant(
        "sma_kernels/checks.py",
        "return -math.inf < value < math.inf",
        "return math.isfinite(value)",
        (COMPILE, "-k", "fixed_settings"),
    ),
    Mutant(
        "sma_kernels/backends/__init__.py",
        "@torch.compiler.assume_constant_result",
        "# traced",
        (COMPILE, "-k", "choice"),
    ),
    Mutant(
        "sma_kernels/api.py",
        'if backends.select(backend, head) == "reference":',
        "if torch.compiler.is_compiling():",
        (COMPILE, "-k", "one_operator and cpu and False"),
    ),
]
