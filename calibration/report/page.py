"""What all HTML pages share: each is one file that needs nothing but itself."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_CSS = """
:root { color: #1d2733; background: #fff; font: 15px/1.5 "DejaVu Sans", Verdana, sans-serif; }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.55rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
header p, figcaption, .note { color: #5a6672; margin: .2rem 0; } p, li { max-width: 52rem; }
.headline { font-size: 1.15rem; border-left: .3rem solid #1f6f8b; padding: .3rem .9rem; margin: 1.2rem 0; }
.simulated { background: #f6e3c5; color: #1d2733; padding: .4rem .9rem; max-width: none; }
figure { margin: 1.2rem 0; } figure img { max-width: 100%; } figcaption { font-size: .85rem; }
table { border-collapse: collapse; } td, th { padding: .18rem .9rem .18rem 0; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } tr + tr { border-top: 1px solid #e4e8eb; }
"""
_SCALE = 0.55
"""Of a figure's pixels, so that text is as large in all of them."""
_SIMULATED = '<p class="simulated">The participant was simulated: no person\'s EEG is on this page.</p>'


def page(title: str, body: Iterable[str], simulated: bool = False, style: str = "") -> str:
    """Return a page.

    Parameters
    ----------
    title
        What the browser's tab says, as plain text.
    body
        Parts in HTML, the first with the heading; empty ones are left out.
    simulated
        Whether to say under the first part that nobody's EEG is shown.
    style
        CSS beyond what all pages have.
    """
    first, *rest = [part for part in body if part]
    parts = [first, *([_SIMULATED] if simulated else []), *rest]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_CSS}{style}</style></head>\n<body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def figure(png: bytes, about: str, caption: bool = True) -> str:
    """Return a PNG image and what it shows: under it too, unless the image says so itself."""
    text, width = escape(about), round(_SCALE * int.from_bytes(png[16:20]))  # where PNG says how wide it is
    below = f"<figcaption>{text}</figcaption>" if caption else ""
    return f'<figure><img src="{data_uri(png)}" width="{width}" alt="{text}">{below}</figure>'


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table of plain values; numbers are set to the right."""

    def cell(value: Any, tag: str) -> str:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        return f"<{tag}{' class=n' if number else ''}>{escape(text)}</{tag}>"

    lines = ["<tr>" + "".join(cell(name, "th") for name in head) + "</tr>"] if head else []
    lines += ["<tr>" + "".join(cell(value, "td") for value in row) + "</tr>" for row in rows]
    return "<table>" + "".join(lines) + "</table>"


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
