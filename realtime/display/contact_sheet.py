"""Pictures of results: what was shown beside what was reconstructed, one pair or a whole sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime.display.canvas import BAD, FAINT, FAIR, GOOD, MUTED, PANEL, TEXT, Canvas

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_MARGIN, _GAP, _CAPTION = 28.0, 8.0, 26.0
_TILE = 128
"""Side of a picture in pixels; the nearest are drawn at half the size."""


@dataclass(frozen=True, eq=False)
class SheetEntry:
    """One percept on the sheet.

    Attributes
    ----------
    shown
        What the participant saw, uint8 ``[h, w, 3]``; None where it is not known.
    reconstructed
        What was painted; None where nothing was.
    nearest
        Nearest pictures, nearest first; the first three are shown.
    label
        Concept that was shown.
    guess
        Concept of the nearest picture.
    confidence
        Probability that the nearest picture is right; None where it was not calibrated.
    correct
        Whether the nearest picture is the one that was shown; None where that is not known.
    """

    shown: NDArray[np.uint8] | None
    reconstructed: NDArray[np.uint8] | None
    nearest: Sequence[NDArray[np.uint8]] = ()
    label: str = ""
    guess: str = ""
    confidence: float | None = None
    correct: bool | None = None


def contact_sheet(entries: Sequence[SheetEntry], title: str, *, simulated: bool, columns: int = 2) -> Image.Image:
    """Return a sheet with a row of pictures for each entry: shown, reconstructed, the three nearest.

    Parameters
    ----------
    entries
        What to show, in reading order.
    title
        One line above, such as ``"50-way   top-1 34 %   two-way 0.91"``.
    simulated
        Whether the EEG is simulated; the sheet then says so.
    columns
        Entries side by side.

    Raises
    ------
    ValueError
        If there is nothing to show.
    """
    if not entries:
        msg = "a contact sheet needs at least one percept"
        raise ValueError(msg)
    columns, tile = min(columns, len(entries)), _TILE
    small = (tile - _GAP) / 2
    cell = 2 * tile + 3 * small + 4 * _GAP
    rows = -(-len(entries) // columns)
    row_height = tile + _CAPTION + 14
    width = 2 * _MARGIN + columns * cell + (columns - 1) * 2 * _MARGIN
    header = 96.0
    canvas = Canvas((round(width), round(header + rows * row_height + _MARGIN - 14)))
    left = _MARGIN
    if simulated:
        left += canvas.pill((_MARGIN, 24), "simulated EEG", FAIR) + 14
    canvas.text((left, 40), canvas.fitted(title, width - left - _MARGIN, 17), 17)
    for column in range(columns):
        x = _MARGIN + column * (cell + 2 * _MARGIN)
        canvas.text((x, header - 12), "Shown", 12, FAINT)
        canvas.text((x + tile + _GAP, header - 12), "Reconstructed", 12, FAINT)
        canvas.text((x + 2 * (tile + _GAP), header - 12), "Nearest", 12, FAINT)
    for number, entry in enumerate(entries):
        x = _MARGIN + (number % columns) * (cell + 2 * _MARGIN)
        _entry(canvas, entry, (x, header + (number // columns) * row_height), tile, cell)
    return canvas.image


def _entry(canvas: Canvas, entry: SheetEntry, at: tuple[float, float], tile: float, cell: float) -> None:
    x, y = at
    small = (tile - _GAP) / 2
    for k, image in enumerate((entry.shown, entry.reconstructed)):
        box = (x + k * (tile + _GAP), y, x + k * (tile + _GAP) + tile, y + tile)
        canvas.rectangle(box, PANEL, 6)
        if image is not None:
            canvas.picture(box, image, 6)
    start = x + 2 * (tile + _GAP)
    for k, image in enumerate(entry.nearest[:3]):
        corner = start + k * (small + _GAP)
        canvas.picture((corner, y, corner + small, y + small), image, 4)
    right = x + cell
    canvas.text((start, y + small + 22), canvas.fitted(entry.guess, right - start, 13), 13)
    if entry.confidence is not None:
        canvas.text((start, y + small + 40), f"{entry.confidence:.0%} confident", 12, MUTED)
    canvas.text((x, y + tile + 18), canvas.fitted(entry.label, 2 * tile, 13), 13, TEXT)
    if entry.correct is not None:
        text, colour = ("correct", GOOD) if entry.correct else ("incorrect", BAD)
        canvas.text((start, y + tile + 18), text, 12, colour)
        canvas.circle((start + canvas.width(text, 12) + 12, y + tile + 14), 3.5, colour)


def side_by_side(shown: NDArray[np.uint8], reconstructed: NDArray[np.uint8], tile: int = 256) -> Image.Image:
    """Return what was shown beside what was reconstructed.

    Parameters
    ----------
    shown, reconstructed
        uint8 ``[h, w, 3]``, each drawn in a square.
    tile
        Side of each square in pixels.
    """
    gap = max(4, tile // 32)
    caption = max(14, tile // 10)
    canvas = Canvas((2 * tile + 3 * gap, tile + 2 * gap + caption))
    for k, (image, text) in enumerate(((shown, "shown"), (reconstructed, "reconstructed"))):
        left = gap + k * (tile + gap)
        canvas.picture((left, gap, left + tile, gap + tile), image, tile / 32)
        canvas.text((left + tile / 2, gap + tile + caption * 0.72), text, caption * 0.55, MUTED, "centre")
    return canvas.image
