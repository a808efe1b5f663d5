"""Counts the places that list the arguments of a call: a new argument must be added to each of them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = {
    *("values", "features", "maps", "weight", "bias", "temperature", "temperature_tensor", "gate", "gate_tensor"),
    *("relation_bias", "mask", "activation", "merge", "margin"),
}
MOST_PLACES = 10
ENOUGH = 7  # a list of arguments contains at least this many of the names
PYTHON = [
    path
    for pattern in ("*.py", "ops/*.py", "backends/*.py")
    for path in sorted((ROOT / "sma_kernels").glob(pattern))
    if path.name not in ("reference.py", "modules.py")  # the mathematics, and a user of the public function
]
CPP = sorted((ROOT / "csrc" / "ops").glob("*.*"))
WORD = re.compile(r"\w+")


def named_in(node: ast.AST) -> set[str]:
    """The arguments named by a signature, call, display, class or schema string itself."""
    if isinstance(node, ast.arguments):
        return {argument.arg for argument in (*node.posonlyargs, *node.args, *node.kwonlyargs)} & NAMES
    if isinstance(node, ast.ClassDef):
        fields = [field.target for field in node.body if isinstance(field, ast.AnnAssign)]
        return {target.id for target in fields if isinstance(target, ast.Name)} & NAMES
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "Tensor" in node.value:
        return set(WORD.findall(node.value)) & NAMES
    parts: list[ast.AST] = []
    if isinstance(node, ast.Call):
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        parts += [ast.Name(keyword.arg) for keyword in node.keywords if keyword.arg]
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        parts = list(node.elts)
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    names |= {part.attr for part in parts if isinstance(part, ast.Attribute)}
    return (names | {part.value for part in parts if isinstance(part, ast.Constant)}) & NAMES


def python_places(text: str) -> Iterator[int]:
    docstrings = set()
    for node in ast.walk(tree := ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            docstrings.add(node.body[0].value)
    for node in ast.walk(tree):
        if node not in docstrings and len(named_in(node)) >= ENOUGH:
            yield getattr(node, "lineno", None) or node.args[0].lineno


def cpp_places(text: str) -> Iterator[int]:
    """Lines with the opening bracket of a list: innermost first, so that each name counts for one bracket."""
    text = re.sub(r"//[^\n]*", "", text)
    opened: list[tuple[int, set[str]]] = []
    for token in re.finditer(r"\w+|[][(){}]", text):
        if token[0] in "([{":
            opened.append((text.count("\n", 0, token.start()) + 1, set()))
        elif token[0] in ")]}":
            if opened and len(opened[-1][1]) >= ENOUGH:
                yield opened[-1][0]
            opened = opened[:-1]
        elif opened and token[0] in NAMES:
            opened[-1][1].add(token[0])


def places() -> list[str]:
    lines = [(path, line) for path in PYTHON for line in python_places(path.read_text())]
    lines += [(path, line) for path in CPP for line in cpp_places(path.read_text())]
    return [f"{path.relative_to(ROOT)}:{line}" for path, line in lines]


def test_few_places_list_the_arguments():
    assert len(places()) <= MOST_PLACES, places()
