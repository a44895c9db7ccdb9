"""Every error that people can mend names the heading of the troubleshooting page under which it stands."""

import ast
import functools
import importlib
import re
from pathlib import Path

import pytest

from configs.errors import InputError
from perceptogram.__main__ import explained

HOUSE = Path(__file__).parents[1]
ROOMS = ("configs", "stimuli", "realtime", "calibration", "perceptogram")


@functools.cache
def kinds():
    """`InputError` and all that are made from it, wherever they lie."""
    found = {InputError}
    for path in (file for room in ROOMS for file in (HOUSE / room).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "(InputError):" in text:
            module = importlib.import_module(".".join(path.relative_to(HOUSE).with_suffix("").parts))
            names = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
            classes = [getattr(module, name) for name in names if hasattr(module, name)]
            found |= {one for one in classes if isinstance(one, type) and issubclass(one, InputError)}
    return sorted(found, key=lambda one: one.__name__)


def headings():
    titles = re.findall(r"^## (.+)$", (HOUSE / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {title.lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_each_kind_of_error_names_a_heading_of_its_own(kind):
    assert "about" in vars(kind), "a kind of error says under which heading of docs/troubleshooting.md it stands"
    assert kind.about in headings()
    assert explained(kind("x is 3: make it 4")) == f"x is 3: make it 4 (docs/troubleshooting.md#{kind.about})"


def test_no_heading_is_left_without_an_error():
    assert {kind.about for kind in kinds()} == headings()
    assert len(kinds()) > 15
