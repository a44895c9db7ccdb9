"""The wheel has one top-level name: the repository's folders lie in it as ``perceptogram.configs`` and so on.

Their names are plain words, and others have packages of these names: ``pip install realtime`` would overwrite ours. An
editable installation has the folders as they are, so that editors and type checkers follow; see docs/installation.md.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

HOUSE = "perceptogram"
ROOMS = ("configs", "stimuli", "realtime", "calibration")
IMPORT = re.compile(rf"^(\s*(?:from|import)\s+)({'|'.join(ROOMS)})\b")
EXAMPLE = re.compile(rf"^(\s*(?:>>>|\.\.\.)\s+(?:from|import)\s+)({'|'.join(ROOMS)})\b")


def moved(source: str, path: str) -> str:
    """Return a module's text with the folders imported from where they lie in the wheel.

    Parameters
    ----------
    source
        The text.
    path
        Named where the text cannot be moved.
    """
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in ROOMS and alias.asname is None:
                    msg = f"{path}:{node.lineno}: 'import {alias.name}' names the folder; write 'from ... import ...'"
                    raise SyntaxError(msg)
        elif not isinstance(node, ast.ImportFrom) or node.level:
            continue
        lines[node.lineno - 1] = IMPORT.sub(rf"\1{HOUSE}.\2", lines[node.lineno - 1])
    return "".join(EXAMPLE.sub(rf"\1{HOUSE}.\2", line) for line in lines)


class Moved(build_py):
    """Copies the folders into the one package, imports and all."""

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        """Copy a module."""
        built = super().build_module(module, module_file, package)
        target = Path(built[0])
        target.write_text(moved(Path(module_file).read_text(encoding="utf-8"), module_file), encoding="utf-8")
        return built


if __name__ == "__main__":
    found = find_namespace_packages(include=[f"{name}*" for name in (HOUSE, *ROOMS)])
    if "editable_wheel" in sys.argv:
        setup(packages=found)
    else:
        setup(
            packages=[name if name.split(".")[0] == HOUSE else f"{HOUSE}.{name}" for name in found],
            package_dir={f"{HOUSE}.{room}": room for room in ROOMS},
            cmdclass={"build_py": Moved},
        )
