"""A finished figure: its PNG and its SVG, and what it says of itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.figures import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5d5d5d")
"""Okabe & Ito's, which colour-blind readers can tell apart."""
DIVERGING = "PuOr_r"


@dataclass
class Drawn:
    """A figure for files and pages.

    Attributes
    ----------
    name
        Of the files, without suffix.
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

    @property
    def image(self) -> str:
        """The PNG as text that stands in a page itself."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    def save(self, folder: Path) -> None:
        """Write ``name.png`` and ``name.svg`` into `folder`, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in ((".png", self.png), (".svg", self.svg)):
            part = folder / f"{self.name}{suffix}.part"
            part.write_bytes(content)
            part.replace(folder / f"{self.name}{suffix}")


@contextmanager
def drawing(name: str, title: str, caption: str, width: float, height: float) -> Iterator[tuple[Figure, Drawn]]:
    """Yield a figure of `width` × `height` inches and what it becomes; the caption is written under it."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE | {"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        made = Drawn(name, title, caption)
        yield figure, made
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.supxlabel(_wrapped(caption, width), x=0.01, ha="left", fontsize=7.5, color="#5a6672")
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=160)
        figure.set_layout_engine("none")  # laid out once; a second time takes as long as drawing
        figure.savefig(svg, format="svg", metadata={"Date": None})
        made.png, made.svg = png.getvalue(), svg.getvalue()


def _wrapped(text: str, width: float) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, int(width * 17)))
