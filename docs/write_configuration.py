"""Write docs/configuration.md and the JSON schema from the settings: ``docs/write_configuration.py [--check]``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from configs.files import write_whole
from configs.schema import PRESETS, Config, schema_text

PAGE = Path(__file__).with_name("configuration.md")
SCHEMA = PRESETS / "schema.json"
HEAD = """# Configuration

One YAML file describes one session; every command takes it as `--config`. What is left out has the value in the third
column; an unknown key or a wrong value is refused with a line that names it. These files come along, and their names
will do: {presets}.

```yaml
stream:
  name: actiCHamp
filters:
  rate_hz: 125
```

This page is written by `python docs/write_configuration.py` from the settings in [`configs/`](../configs/schema.py).
"""
KINDS = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "mapping",
}
BOUNDS = (("exclusiveMinimum", "> "), ("minimum", "≥ "), ("exclusiveMaximum", "< "), ("maximum", "≤ "))


def page() -> str:
    """Return the page."""
    schema = Config.model_json_schema()
    presets = ", ".join(f"`{path.stem}`" for path in sorted(PRESETS.glob("*.yaml")))
    lines = [HEAD.format(presets=presets), *_section("The session", "", schema)]
    for name, key in schema["properties"].items():
        ref = key.get("$ref") or key.get("items", {}).get("$ref")
        if ref is not None:
            each = "" if "$ref" in key else ", each of them"
            lines += ["", *_section(f"`{name}`{each}", f"{name}.", schema["$defs"][ref.rsplit("/", 1)[-1]])]
    return "\n".join(lines) + "\n"


def _section(title: str, prefix: str, schema: dict[str, Any]) -> list[str]:
    rows = [
        f"| `{prefix}{name}` | {_kind(key)} | {_default(key.get('default'))} | {_markdown(key['description'])} |"
        for name, key in schema["properties"].items()
        if "$ref" not in key
    ]
    return [
        f"## {title}",
        "",
        _markdown(schema["description"]),
        "",
        "| key | value | left out | what |",
        *["|---" * 4 + "|", *rows],
    ]


def _kind(key: dict[str, Any]) -> str:
    """Return what a key takes, in words."""
    if "$ref" in key:
        return KINDS["object"]
    if "anyOf" in key:
        return " or ".join(_kind(one) for one in key["anyOf"] if one.get("type") != "null")
    if "enum" in key:
        return ", ".join(f"`{value}`" for value in key["enum"])
    if key["type"] == "array":
        items = key.get("prefixItems", [])
        return f"{len(items)} of: {_kind(items[0])}" if items else f"list of: {_kind(key['items'])}"
    word = "path" if key.get("format") == "path" else KINDS[key["type"]]
    limits = [f"{sign}{key[name]:g}" for name, sign in BOUNDS if name in key]
    return ", ".join([word, *limits, *([f"in steps of {key['multipleOf']:g}"] if "multipleOf" in key else [])])


def _default(value: Any) -> str:
    return "" if value in (None, {}) else f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case list() | tuple():
            return f"[{', '.join(_plain(one) for one in value)}]"
    return str(value)


def _markdown(text: str) -> str:
    """Return a docstring as Markdown on one line of a table."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def main() -> int:
    """Write the page, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the page is not up to date")
    if not parser.parse_args().check:
        write_whole(PAGE, page())
        write_whole(SCHEMA, schema_text())
        return 0
    for path, text in ((PAGE, page()), (SCHEMA, schema_text())):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            name = path.relative_to(PAGE.parents[1])
            sys.stderr.write(f"{name} is not up to date: python docs/write_configuration.py\n")
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
