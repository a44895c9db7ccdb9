"""A finished figure: its PNG and its SVG, and what it says of itself."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SIGNAL, NULL, CHANCE = "#1d2733", "#1f6f8b", "#b5654a", "#8a949e"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a dollar in a name is a dollar
}
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5d5d5d",
    "#b8a800", "#7f3c8d", "#80ba5a", "#8c564b", "#9a9a9a",
)  # fmt: skip
"""The first six are those of Okabe & Ito, which colour-blind readers can tell apart; there are no twelve such."""
DIVERGING = "RdBu_r"
"""From blue over white to red, which colour-blind readers can tell apart as well."""
SEQUENTIAL = "Blues"


@dataclass
class Drawn:
    """A figure for files and pages.

    Attributes
    ----------
    name
        Name of the files, without suffix.
    title, caption
        What is seen; the caption tells n, what was averaged, and the statistic.
    png, svg
        The figure itself; empty until the block that draws it has ended.
    """

    name: str
    title: str
    caption: str
    png: bytes = b""
    svg: bytes = b""

    def save(self, folder: Path) -> None:
        """Write ``name.png`` and ``name.svg`` into `folder`, each whole or not at all."""
        write_whole(folder / f"{self.name}.png", self.png)
        write_whole(folder / f"{self.name}.svg", self.svg)


@contextmanager
def blank(width: float, height: float, placed: bool = False, salt: str = "") -> Iterator[Figure]:
    """Yield an empty figure in the style of all, which holds until the block ends; then nothing is left of it.

    Parameters
    ----------
    width, height
        In inches.
    placed
        Leave axes where they are put, instead of laying them out.
    salt
        Of the ids in an SVG, so that one page can hold several.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE | {"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), layout=None if placed else "constrained")
        FigureCanvasAgg(figure)
        try:
            yield figure
        finally:
            figure.clear()


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


@contextmanager
def drawing(
    name: str, title: str, caption: str, width: float, height: float, placed: bool = False
) -> Iterator[tuple[Figure, Drawn]]:
    """Yield a figure and what it becomes once it is drawn; title and caption are written on it.

    Parameters
    ----------
    name
        Name of the files; it also fixes the identifiers in the SVG, so that equal figures are equal files.
    title, caption
        What is written above and below.
    width, height
        Size in inches.
    placed
        Leave axes where they are put: half an inch at the top is the title's, and as much as `caption_height` says at
        the foot is the caption's. Otherwise they are laid out around both.
    """
    with blank(width, height, placed, name) as figure:
        made = Drawn(name, title, caption)
        yield figure, made
        top: Any = {"y": 1 - 0.1 / height, "va": "top"} if placed else {}
        foot: Any = {"y": 0.08 / height, "va": "bottom"} if placed else {}
        left = 0.1 / width
        figure.suptitle(title, x=left, ha="left", fontsize=11, fontweight="bold", **top)
        figure.supxlabel("\n".join(_lines(caption, width)), x=left, ha="left", fontsize=7.5, color="#5a6672", **foot)
        made.png, svg = png_of(figure), io.BytesIO()
        figure.set_layout_engine("none")  # laid out once; a second time takes as long as drawing
        figure.savefig(svg, format="svg", metadata={"Date": None})
        made.svg = svg.getvalue()


def caption_height(caption: str, width: float) -> float:
    """Return how many inches a caption takes at the foot of a figure `width` inches wide."""
    return 0.16 + 0.125 * len(_lines(caption, width))


def _lines(text: str, width: float) -> list[str]:
    return textwrap.wrap(text, int(width * 17))
