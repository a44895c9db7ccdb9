"""Whatever the packages import, a user's installation has: a dependency, or an extra that is named where it lacks."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOUSE = Path(__file__).parents[1]
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
ROOMS = ("configs", "stimuli", "realtime", "calibration", "perceptogram")


def names(requirements):
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def imports():
    """Every module of others that a file of ours imports, anywhere in it."""
    found = set()
    for file in sorted(file for room in ROOMS for file in (HOUSE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            else:
                continue
            found |= {(module.split(".")[0], file.relative_to(HOUSE)) for module in modules}
    return sorted(
        (module, file) for module, file in found if module not in sys.stdlib_module_names and module not in ROOMS
    )


def test_every_import_is_declared():
    distributions = packages_distributions()
    needed, extras = names(PROJECT["dependencies"]), PROJECT["optional-dependencies"]
    undeclared = []
    for module, file in imports():
        brings = {canonicalize_name(name) for name in distributions.get(module, ())}
        # An extra may be missing, so the file says which: a user reads it there. Developers' never counts.
        offered = [name for name, lines in extras.items() if name != "dev" and brings & names(lines)]
        told = any(f"perceptogram-live[{name}]" in (HOUSE / file).read_text() for name in offered)
        if not (brings & needed or told):
            undeclared.append(f"{file}: {module}")
    assert not undeclared


@pytest.mark.parametrize("name", sorted(names(PROJECT["dependencies"])))
def test_every_dependency_has_its_tested_version(name):
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==", (HOUSE / "constraints.txt").read_text(), re.MULTILINE)
    assert name in {canonicalize_name(one) for one in pinned}
