"""Reading a configuration's YAML, and saying in one line each what is wrong with it."""

from __future__ import annotations

import math
import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.files import read_text

LARGEST_BYTES = 100_000
MOST_VALUES = 10_000
"""What a configuration may hold, every alias written out: a few lines of them can stand for any number."""
TABS = "found character '\\t'"
EXAMPLES = {"url": "give mqtt://host:port or mqtts://host:port", "root": "give a topic without + and #"}
"""What to write, for settings whose pattern says nothing to people."""

_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = 80


def read_yaml(path: str | Path, presets: Path) -> Any:
    """Return what the YAML file `path` holds; a bare name means the preset of that name, where there is no such file.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not YAML, or holds more than any configuration would.
    """
    file = Path(path)
    try:
        if not file.is_file() and file.parent == Path() and (presets / f"{file.stem}.yaml").exists():
            file = presets / f"{file.stem}.yaml"
        if file.stat().st_size > LARGEST_BYTES:
            msg = f"config {path} has {file.stat().st_size} bytes, which no configuration needs; give a YAML file"
            raise ConfigError(msg)
        content = yaml.safe_load(read_text(file, "config", ConfigError))
    except OSError as error:
        names = ", ".join(sorted(preset.stem for preset in presets.glob("*.yaml")))
        msg = f"cannot read config {path}: {error.strerror or error}; give a YAML file or a preset: {names}"
        raise ConfigError(msg) from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"config {path} is not valid YAML: {_place(error)}") from error
    except ConfigError:
        raise
    except Exception as error:  # PyYAML's constructors raise whatever a strange value leads to
        msg = f"config {path} is not valid YAML: {' '.join(str(error).split()) or type(error).__name__}"
        raise ConfigError(msg) from error
    if _values(content, {}) > MOST_VALUES:
        msg = f"config {path} holds more than {MOST_VALUES} values, its aliases written out"
        raise ConfigError(msg)
    return content


def fault_lines(error: ValidationError, origin: str) -> list[str]:
    """Return one line for each setting that is wrong, with its name and its value."""
    lines = []
    for fault in error.errors():
        keys = [str(part) for part in fault["loc"]]
        key = ".".join(part if part.isprintable() else repr(part) for part in keys) or "config"
        what = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "string_pattern_mismatch" and keys[-1] in EXAMPLES:
            what = EXAMPLES[keys[-1]]
        plain = fault["type"] in ("extra_forbidden", "value_error")
        given = "" if plain else f" (given: {_shortened.repr(fault['input'])})"
        lines.append(f"config {origin}: {key}: {what}{given}")
    return lines


def _place(error: yaml.MarkedYAMLError) -> str:
    """Return where in the file the error is, and what it is."""
    told = " ".join(str(error.problem or error.context).split())
    if TABS in told:
        told = "a tab; indent with spaces"
    mark = error.problem_mark or error.context_mark
    return told if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {told}"


def _values(content: Any, known: dict[int, float]) -> float:
    """Return how many values `content` stands for with its aliases written out; infinity where one holds itself."""
    if not isinstance(content, dict | list):
        return 1.0
    if id(content) not in known:
        known[id(content)] = math.inf
        items = content.values() if isinstance(content, dict) else content
        known[id(content)] = 1.0 + sum(_values(item, known) for item in items)
    return known[id(content)]
