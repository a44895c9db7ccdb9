"""Textures that a drawn object can wear: a name, two colours and a seed give an RGB image."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

TEXTURES = ("smooth", "striped", "dotted", "checked", "scribbled", "zigzag")

Colour = tuple[int, int, int]


def paint_texture(name: str, size: int, main: Colour, mark: Colour, rng: np.random.Generator) -> Image.Image:
    """Return a ``size × size`` image: `main` as the ground and `mark` as the pattern on it.

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
    period = size * rng.uniform(0.085, 0.115)
    phase_x, phase_y = rng.uniform(0.0, 1.0, 2)
    turn = {"striped": 0.7, "checked": 0.0, "dotted": 0.3, "zigzag": 0.0, "scribbled": 0.0}[name]
    turn += rng.uniform(-0.12, 0.12)
    cosine, sine = np.cos(turn), np.sin(turn)

    def place(x: float, y: float) -> tuple[int, int]:
        x, y = x + phase_x * period, y + phase_y * period
        return round(size / 2 + x * cosine - y * sine), round(size / 2 + x * sine + y * cosine)

    reach = size * 0.8
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
        radius = round(period * 0.28)
        for row, y in enumerate(steps):
            for x in steps + (row % 2) * period / 2:
                u, v = place(x, y)
                pen.ellipse((u - radius, v - radius, u + radius, v + radius), fill=mark)
    elif name == "zigzag":
        for y in steps * 1.15:
            corners = [(x, y + (period * 0.3 if i % 2 else -period * 0.3)) for i, x in enumerate(steps * 0.62)]
            pen.line([place(*corner) for corner in corners], fill=mark, width=round(period * 0.36), joint="curve")
    else:
        width = round(size * 0.012)
        for _ in range(46):
            path = np.cumsum(rng.normal(0, size * 0.05, (9, 2)), axis=0) + rng.uniform(-size / 2, size / 2, 2)
            smooth = np.stack([np.interp(np.linspace(0, 8, 50), np.arange(9), path[:, k]) for k in (0, 1)], axis=1)
            kernel = np.ones(7) / 7
            curve = np.stack([np.convolve(smooth[:, k], kernel, "valid") for k in (0, 1)], axis=1)
            pen.line([place(x, y) for x, y in curve], fill=mark, width=width, joint="curve")
    return image
