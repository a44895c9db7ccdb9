"""Pictures of figures for the documentation, small enough to be kept with the code."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from configs.files import write_whole


def save_small(png: bytes, path: Path) -> None:
    """Write a figure with 256 colours, which is all it needs."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(buffer, format="PNG", optimize=True)
    write_whole(path, buffer.getvalue())
