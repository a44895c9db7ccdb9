"""Draw the start page's contact sheet from what a demo left: ``python docs/images/draw_sheet.py out/demo``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from saving import save_picture

from configs.schema import PictureSettings
from perceptogram.console import number
from perceptogram.live.recorded import read_session
from realtime.display.contact_sheet import SheetEntry, contact_sheet
from stimuli.pictures import open_pictures

COLUMNS, ROWS = 3, 4
TILE, GAP = 256, 8
"""Of the files that a session saves: side of a picture in pixels, and what is left around it."""


def main() -> None:
    """Draw the first pictures that were shown, as they were after their last look, right or wrong."""
    folder = Path(sys.argv[1])
    session, pictures = read_session(folder), open_pictures(PictureSettings())
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    said = [entry["message"] for entry in session.entries if entry["message"].get("kind") == "percept"]
    last = {percept["picture"]: percept for percept in said}  # in the order in which they were first shown
    entries = []
    for name, percept in list(last.items())[: COLUMNS * ROWS]:
        near = percept["neighbours"]
        file = session.pictures.get(percept["trial"])
        entries.append(
            SheetEntry(
                shown=pictures.image(name),
                reconstructed=None if file is None else _reconstructed(file),
                nearest=[pictures.image(one["name"]) for one in near[:3]],
                label=pictures.label(name),
                guess=near[0]["label"],
                confidence=percept["confidence"],
                correct=near[0]["name"] == name,
            )
        )
    count, looks = summary["n_way"], round(summary["repeats"])
    title = (
        f"the first {len(entries)} of {count} pictures never seen before, {looks} looks each · of all {count}: "
        f"right picture first {number(summary['top1'])} (chance {number(summary['chance_top1'])}) · "
        f"two-way {number(summary['two_way'])} (chance 0.50)"
    )
    sheet = contact_sheet(entries, title, simulated=True, columns=COLUMNS)
    save_picture(sheet, Path(__file__).with_name("contact_sheet.png"))


def _reconstructed(file: Path) -> np.ndarray:
    left = 2 * GAP + TILE
    with Image.open(file) as both:
        return np.asarray(both.convert("RGB").crop((left, GAP, left + TILE, GAP + TILE)))


if __name__ == "__main__":
    main()
