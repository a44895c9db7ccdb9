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

from configs.extras import BRINGS

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


@pytest.fixture(scope="module")
def distributions():
    """Names of the distributions that bring each module."""
    return packages_distributions()


def test_every_import_is_declared(distributions):
    needed, extras = names(PROJECT["dependencies"]), PROJECT["optional-dependencies"]
    undeclared = []
    for module, file in imports():
        brings = {canonicalize_name(name) for name in distributions.get(module, ())}
        # an extra may be missing, and which one it is is told then; developers' never counts
        told = any(module in modules and brings & names(extras[extra]) for extra, modules in BRINGS.items())
        if not (brings & needed or told):
            undeclared.append(f"{file}: {module}")
    assert not undeclared


def test_what_an_extra_brings_is_what_it_installs(distributions):
    """Distributions and modules have other names; each module comes with its extra, and each of these is asked for."""
    for extra, modules in BRINGS.items():
        installs = names(PROJECT["optional-dependencies"][extra])
        brought = {canonicalize_name(name) for module in modules for name in distributions[module]}
        assert installs <= brought, extra
        assert all({canonicalize_name(name) for name in distributions[module]} & installs for module in modules), extra


BROUGHT = [line for extra in BRINGS for line in PROJECT["optional-dependencies"][extra]]


@pytest.mark.parametrize("name", sorted(names([*PROJECT["dependencies"], *BROUGHT])))
def test_every_dependency_has_its_tested_version(name):
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==", (HOUSE / "constraints.txt").read_text(), re.MULTILINE)
    assert name in {canonicalize_name(one) for one in pinned}
