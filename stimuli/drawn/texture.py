"""Textures that a drawn object can wear: a name, two colours and a seed give an RGB image."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

TEXTURES = ("smooth", "striped", "dotted", "checked", "scribbled", "zigzag")

Colour = tuple[int, int, int]


def paint_texture(name: str, size: int, main: Colour, mark: Colour, rng: np.random.Generator) -> Image.Image:
    """Return a ``size × size`` image: `main` as the ground and `mark` as the pattern on it.

    Parameters
    ----------
    name
        One of `TEXTURES`.
    size
        Side in pixels.
    main, mark
        Colours of the ground and of the pattern on it.
    rng
        Where the pattern's scale, phase and turn are drawn from.

    Raises
    ------
    ValueError
        If `name` is not one of `TEXTURES`.
    """
    if name not in TEXTURES:
        msg = f"unknown texture {name!r}: choose one of {', '.join(TEXTURES)}"
        raise ValueError(msg)
    image = Image.new("RGB", (size, size), main)
    if name == "smooth":
        return image
    pen = ImageDraw.Draw(image)
    period = size * rng.uniform(0.095, 0.125)
    phase_x, phase_y = rng.uniform(0.0, 1.0, 2)
    turn = {"striped": 0.7, "checked": 0.0, "dotted": 0.3, "zigzag": 0.0, "scribbled": 0.0}[name]
    turn += rng.uniform(-0.12, 0.12)
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))

    def place(x: float, y: float) -> tuple[int, int]:
        x, y = float(x + phase_x * period), float(y + phase_y * period)
        return round(size / 2 + x * cosine - y * sine), round(size / 2 + x * sine + y * cosine)

    reach = size * 0.76
    steps = np.arange(-reach, reach, period)
    if name == "striped":
        for x in steps:
            corners = [(x, -reach), (x + period / 2, -reach), (x + period / 2, reach), (x, reach)]
            pen.polygon([place(*corner) for corner in corners], fill=mark)
    elif name == "checked":
        half = period * 0.62
        for row, y in enumerate(np.arange(-reach, reach, half)):
            for x in np.arange(-reach + (row % 2) * half, reach, 2 * half):
                corners = [(x, y), (x + half, y), (x + half, y + half), (x, y + half)]
                pen.polygon([place(*corner) for corner in corners], fill=mark)
    elif name == "dotted":
        dot = round(period * 0.28)
        for row, y in enumerate(steps):
            for x in steps + (row % 2) * period / 2:
                u, v = place(x, y)
                pen.ellipse((u - dot, v - dot, u + dot, v + dot), fill=mark)
    elif name == "zigzag":
        half = period * 0.22
        for y in steps * 1.15:
            ridge = [(x, y + period * (0.3 if i % 2 else -0.3)) for i, x in enumerate(steps * 0.62)]
            corners = [(x, y - half) for x, y in ridge] + [(x, y + half) for x, y in reversed(ridge)]
            pen.polygon([place(*corner) for corner in corners], fill=mark)
    else:
        # A curly scrawl: loops that run on in rows, each row wandering on its own.
        loops, width = np.linspace(-4.0, 4.0, 240), round(period * 0.2)
        for middle in np.arange(-reach, reach, period * 1.5):
            radius = period * (0.62 + 0.2 * np.sin(loops * rng.uniform(1.5, 2.5) + rng.uniform(0, 2 * np.pi)))
            angle = 2 * np.pi * (loops * reach / (4 * period * 1.15) + rng.uniform())
            wander = 0.3 * period * np.sin(loops * rng.uniform(1.0, 2.0) + rng.uniform(0, 2 * np.pi))
            path = zip(
                loops * reach / 4 + radius * np.cos(angle), middle + wander + radius * np.sin(angle), strict=True
            )
            pen.line([place(*point) for point in path], fill=mark, width=width)
    return image
