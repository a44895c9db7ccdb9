"""What must hold of docstrings: parameters are named, constants are explained one by one, and examples are true."""

import ast
import doctest
import importlib
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("configs", "stimuli", "realtime", "calibration", "perceptogram")
SOURCES = {path: path.read_text(encoding="utf-8") for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))}
FEW = 2
"""Arguments that a summary can explain without a section of their own."""
SECTION = re.compile(r"^Parameters\n-{10}\n(.*?)(?=\n\n[A-Z][A-Za-z ]+\n-{3,}\n|\Z)", re.DOTALL | re.MULTILINE)
LEANING = re.compile(r"(The same|The other|Likewise|As well|And|But|Of)\b")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.fixture(scope="module")
def trees():
    """Every module's syntax, parsed once for all that is asked of it."""
    return {name_of(path): ast.parse(text) for path, text in SOURCES.items()}


def documented(tree: ast.Module):
    """Yield the public functions and methods, each with its name and the docstring that explains its arguments."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node, node.name, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for part in node.body:
                if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if part.name == "__init__":
                    yield part, node.name, ast.get_docstring(node) or ""
                elif not part.name.startswith("_"):
                    yield part, f"{node.name}.{part.name}", ast.get_docstring(part) or ""


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = function.args
    every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [one.arg for one in every if one is not None and one.arg not in ("self", "cls")]


def named(docstring: str) -> set[str]:
    section = SECTION.search(docstring)
    heads = [line for line in section[1].splitlines() if line and not line.startswith(" ")] if section else []
    return {name.strip(" *") for head in heads for name in head.split(",")}


def unnamed(tree: ast.Module) -> list[str]:
    """Return the functions whose docstring leaves out one of many arguments, or names one that is not there."""
    lines = []
    for function, name, docstring in documented(tree):
        given, told = arguments(function), named(docstring)
        if (len(given) > FEW or told) and set(given) != told:
            lines.append(f"{name}: {', '.join(sorted(set(given) ^ told))}")
    return lines


def remarks(tree: ast.AST):
    """Yield the line and the docstring of every constant and field that has one."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for before, after in pairwise(body) if isinstance(body, list) else ():
            match before, after:
                case ((ast.Assign() | ast.AnnAssign()), ast.Expr(value=ast.Constant(value=str(text)))):
                    yield before.lineno, text.strip()


def stands_alone(text: str) -> bool:
    """Return whether a docstring begins and ends a sentence of its own, and does not lean on the one above it."""
    return not text[0].islower() and text.endswith((".", "?")) and LEANING.match(text) is None


def test_every_parameter_is_named_where_there_are_many(trees):
    assert not [f"{name}.{line}" for name, tree in trees.items() for line in unnamed(tree)]


def test_a_parameter_that_is_left_out_is_found():
    """Also one of a class, one by keyword, and one that is no more."""
    head, section = "def f(a, b, *, c):\n", '    """Do.\n\n    Parameters\n    ----------\n'
    assert unnamed(ast.parse(head + '    """Do."""')) == ["f: a, b, c"]
    assert unnamed(ast.parse(head + section + '    a, b\n        Both.\n    """')) == ["f: c"]
    assert unnamed(ast.parse(head + section + '    a, b, c, d\n        All.\n    """')) == ["f: d"]
    assert not unnamed(ast.parse(head + section + '    a, b\n        Both.\n    c\n        One.\n    """'))
    made = "class A:\n    def __init__(self, a, b, c):\n        self.a = a"
    assert unnamed(ast.parse(made)) == ["A: a, b, c"]


def test_the_docstring_of_a_constant_stands_alone(trees):
    assert not [
        f"{name}:{line}: {text}"
        for name, tree in trees.items()
        for line, text in remarks(tree)
        if not stands_alone(text)
    ]


def test_a_sentence_over_two_constants_is_found():
    two = 'A = 32\n"""Timestamps that are learned from, and"""\nB = 1.0\n"""the time that they must cover."""'
    assert [line for line, text in remarks(ast.parse(two)) if not stands_alone(text)] == [1, 3]


@pytest.mark.parametrize("module", [name_of(path) for path, text in SOURCES.items() if ">>> " in text])
def test_the_examples_are_true(module):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = doctest.testmod(importlib.import_module(module), optionflags=flags)
    assert found.attempted
    assert not found.failed
