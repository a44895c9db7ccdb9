"""What all HTML pages share: each is one file that needs nothing but itself, made from a template in ``templates/``."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_SCALE = 0.55
"""Width in CSS pixels of one of a figure's, so that text is as large in all figures."""


def page(template: str, **content: Any) -> str:
    """Return the page that a template makes of `content`; what comes from outside is escaped.

    Every template needs `simulated`: whether to say under the heading that nobody's EEG is shown.
    """
    return templates().get_template(template).render(content)


@cache
def templates() -> Environment:
    """Return the templates, with what they need to show numbers and figures."""
    found = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"cell": cell, "data_uri": data_uri, "p_is": p_is, "width": width}
    return found


def cell(value: Any) -> str:
    """Return a plain value as a table shows it: fractions to three digits."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def width(png: bytes) -> int:
    """Return the width in which a page shows a PNG image."""
    return round(_SCALE * int.from_bytes(png[16:20]))  # where PNG says how wide it is


def data_uri(png: bytes) -> str:
    """Return a PNG image as text that stands in a page itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def p_value(p: float | None) -> str:
    """Return a p-value for people: ``0.013``, ``< 0.001``, ``n/a``; permutations tell no more digits."""
    if p is None:
        return "n/a"
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


def p_is(p: float | None) -> str:
    """Return a p-value for a sentence: ``p = 0.013``, ``p < 0.001``, ``p n/a``."""
    value = p_value(p)
    return f"p = {value}" if value[0].isdigit() else f"p {value}"
