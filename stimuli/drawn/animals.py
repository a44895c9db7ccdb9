"""Drawn animals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stimuli.drawn.concept import Concept
from stimuli.drawn.pen import Paint, Pen


def draw_cat(pen: Pen) -> None:
    """Draw a sitting cat from the front: pointed ears, whiskers, a curled tail."""
    cheek, ear, hip = pen.vary(0.46, 0.54), pen.vary(0.36, 0.44), pen.vary(0.44, 0.52)
    tip = pen.vary(0.0, 0.2)
    tail = [(0.3, 0.7), (0.66, 0.68), (0.76, 0.4), (0.68, tip)]
    trunk = [(0, -0.1), (0.32, 0.1), (hip, 0.6), (0.36, 0.84), (0, 0.86), (-0.36, 0.84), (-hip, 0.6), (-0.32, 0.1)]
    pen.line(tail, 0.25)
    pen.line(tail, 0.18, Paint.BODY)
    pen.blob(trunk)
    pen.ellipse((0, 0.34), 0.17, 0.17, Paint.LIGHT, outline=0)
    for side in (-1, 1):
        pen.line([(side * 0.1, 0.55), (side * 0.1, 0.84)], 0.035)
        pen.ellipse((side * 0.2, 0.82), 0.16, 0.09)
    ears = [[(s * cheek * 0.98, -0.36), (s * cheek * 0.9, -0.5 - ear), (s * 0.1, -0.6)] for s in (-1, 1)]
    _join(
        *[lambda outline, ear=corners: pen.polygon(ear, outline=outline) for corners in ears],
        lambda outline: pen.ellipse((0, -0.32), cheek, 0.38, outline=outline),
    )
    for (x0, y0), (x1, y1), (x2, y2) in ears:
        inside = [(0.7 * x0 + 0.1 * x2, y0 - 0.16), (x1 * 0.93, y1 + 0.14), (x2 + 0.42 * (x1 - x2), y2)]
        pen.polygon(inside, Paint.LIGHT, outline=0)
    for side in (-1, 1):
        _eye(pen, side * 0.2, -0.36, 0.085)
        for rise in (-0.06, 0.08):
            pen.line([(side * 0.27, -0.16 + 0.3 * rise), (side * 0.72, -0.18 + rise)], 0.03)
        pen.arc((side * 0.07, -0.15), 0.07, 0.07, 0, np.pi, 0.035)
    pen.polygon([(-0.07, -0.24), (0.07, -0.24), (0, -0.16)], Paint.INK)


def draw_fish(pen: Pen) -> None:
    """Draw a fish from the side: tail, fins, gill, a round eye."""
    height, fork = pen.vary(0.52, 0.64), pen.vary(0.44, 0.56)
    fin = pen.vary(0.18, 0.25)
    pen.blob([(-0.2, -0.3), (0.0, -height - fin), (0.25, -height - 0.04), (0.4, -0.25)])
    pen.blob([(-0.1, 0.3), (-0.12, height + fin - 0.06), (0.12, height), (0.25, 0.3)])
    pen.polygon([(-0.3, 0), (-0.86, -fork), (-0.7, 0), (-0.86, fork)])
    body = [(0.84, 0), (0.62, -0.68 * height), (0.2, -height), (-0.2, -0.72 * height), (-0.52, -0.06)]
    pen.blob([*body, (-0.52, 0.06), (-0.2, 0.72 * height), (0.2, height), (0.62, 0.68 * height)])
    for rise in (-0.18, 0, 0.18):
        pen.line([(-0.8, rise * 1.2), (-0.6, rise * 0.6)], 0.03)
    pen.arc((0.14, 0), 0.18, 0.34, -0.38 * np.pi, 0.38 * np.pi, 0.04)
    pen.blob([(0.06, 0.08), (-0.2, -0.02), (-0.24, 0.24), (-0.02, 0.22)], Paint.LIGHT)
    pen.ellipse((0.5, -0.12), 0.13, paint=Paint.WHITE)
    pen.ellipse((0.52, -0.12), 0.065, paint=Paint.INK, outline=0)
    pen.arc((0.74, 0.1), 0.14, 0.1, 0.35 * np.pi, 1.05 * np.pi, 0.04)


def draw_bird(pen: Pen) -> None:
    """Draw a perched bird from the side: beak, wing, tail, two thin legs."""
    plump, crown = pen.vary(0.5, 0.56), pen.vary(0.32, 0.37)
    lift = pen.vary(-0.12, 0.08)
    for x in (-0.08, 0.16):
        pen.line([(x, 0.5), (x + 0.02, 0.82)], 0.05)
        pen.line([(x - 0.1, 0.86), (x + 0.02, 0.82), (x + 0.16, 0.86)], 0.045, smooth=False)
    beak = pen.vary(0.24, 0.32)
    pen.polygon([(0.56, -0.52), (0.6 + beak, -0.38), (0.56, -0.26)], Paint.SHADE)
    pen.line([(0.58, -0.38), (0.58 + 0.7 * beak, -0.38)], 0.025)
    tail = [(-0.3, 0.02), (-0.84, lift - 0.12), (-0.9, lift + 0.1), (-0.76, lift + 0.22), (-0.3, 0.4)]
    _join(
        lambda outline: pen.polygon(tail, outline=outline),
        lambda outline: pen.ellipse((-0.02, 0.16), plump + 0.04, plump, outline=outline, turn_rad=-0.35),
        lambda outline: pen.ellipse((0.32, -0.42), crown, outline=outline),
    )
    for i in range(int(pen.rng.integers(1, 4))):
        pen.line([(0.28 - 0.05 * i, -0.4 - crown), (0.2 - 0.12 * i, -0.54 - crown + 0.04 * i)], 0.04)
    wing = pen.vary(0.26, 0.36)
    pen.blob([(0.22, -0.02), (0.2, 0.24), (-0.05, wing + 0.06), (-0.58, wing), (-0.3, 0.05), (0, -0.1)], outline=0.045)
    pen.line([(-0.4, 0.24), (-0.16, 0.22), (-0.02, 0.12)], 0.035)
    _eye(pen, 0.4, -0.46, 0.075)


def draw_butterfly(pen: Pen) -> None:
    """Draw a butterfly from above: four wings with spots, a thin body, two feelers."""
    top, out, low = pen.vary(-0.8, -0.64), pen.vary(0.76, 0.88), pen.vary(0.64, 0.8)
    spot = pen.vary(0.11, 0.16)
    for side in (-1, 1):
        lower = [(0.04, 0.0), (0.42, 0.04), (0.66, 0.3), (0.56, low - 0.06), (0.32, low), (0.12, 0.4)]
        upper = [
            (0.04, 0.1),
            (0.06, -0.2),
            (0.34, top + 0.08),
            (0.68, top),
            (out, top + 0.3),
            (0.74, 0.02),
            (0.4, 0.14),
        ]
        pen.blob([(side * x, y) for x, y in lower])
        pen.blob([(side * x, y) for x, y in upper])
        pen.ellipse((side * 0.6, top + 0.34), spot, spot * 1.2, Paint.LIGHT)
        pen.ellipse((side * 0.4, 0.42), spot * 0.75, paint=Paint.SHADE)
        pen.line([(0, -0.4), (side * 0.1, -0.66), (side * 0.22, -0.8)], 0.035)
        pen.ellipse((side * 0.22, -0.8), 0.045, paint=Paint.INK, outline=0)
    pen.ellipse((0, 0.08), 0.085, 0.48, Paint.INK, outline=0)
    pen.ellipse((0, -0.4), 0.1, paint=Paint.INK, outline=0)


def draw_turtle(pen: Pen) -> None:
    """Draw a turtle from the side: a domed shell with plates, a head on a neck, short legs."""
    dome = pen.vary(0.86, 1.0)
    head_y = pen.vary(-0.06, 0.14)
    pen.polygon([(-0.72, 0.3), (-0.93, 0.52), (-0.62, 0.48)])
    for x in (-0.48, 0.28):
        pen.box(x - 0.17, 0.32, x + 0.17, 0.84, corner=0.12)
    neck = [(0.4, 0.4), (0.62, 0.32), (0.72, head_y)]
    pen.line(neck, 0.29)
    pen.ellipse((0.74, head_y), 0.21, 0.2)
    pen.line(neck, 0.22, Paint.BODY)
    _eye(pen, 0.78, head_y - 0.05, 0.055)
    pen.arc((0.8, head_y + 0.03), 0.1, 0.08, 0.1 * np.pi, 0.7 * np.pi, 0.03)
    pen.sector((-0.13, 0.36), 0.72, dome + 0.1, np.pi, 2 * np.pi)
    top = 0.36 - 0.62 * dome
    plate = [(-0.36, 0.06), (-0.26, top), (0.02, top), (0.12, 0.06), (-0.12, 0.24)]
    pen.polygon(plate, Paint.SHADE, outline=0)
    pen.polygon([(x * 0.78 - 0.026, y * 0.78 + 0.0) for x, y in plate], outline=0)
    for start, stop in zip(plate, [(-0.68, 0.0), (-0.42, top - 0.2), (0.18, top - 0.2), (0.44, 0.0)], strict=False):
        pen.line([start, stop], 0.045, Paint.SHADE)
    pen.box(-0.91, 0.3, 0.64, 0.43, Paint.LIGHT, corner=0.08)


def draw_rabbit(pen: Pen) -> None:
    """Draw a sitting rabbit from the side: two long ears, a round back, a white tail."""
    ear, lean, back = pen.vary(0.32, 0.37), pen.vary(-0.45, -0.15), pen.vary(0.46, 0.54)
    pen.ellipse((-0.72, 0.52), 0.17, paint=Paint.WHITE)
    ears = [(0.2, lean - 0.1), (0.4, lean + 0.25)]
    placed = [((x + 0.75 * ear * np.sin(turn), -0.27 - 0.72 * ear * np.cos(turn)), turn) for x, turn in ears]
    for at, turn in placed:
        pen.ellipse(at, 0.13, ear, turn_rad=turn)
        pen.ellipse(at, 0.055, ear * 0.7, Paint.LIGHT, outline=0, turn_rad=turn)
    _join(
        lambda outline: pen.ellipse((-0.2, 0.34), 0.5, back, outline=outline),
        lambda outline: pen.blob([(0.05, 0.0), (0.38, 0.1), (0.42, 0.5), (0.36, 0.82), (0, 0.7)], outline=outline),
        lambda outline: pen.ellipse((0.38, -0.08), 0.36, 0.3, outline=outline, turn_rad=0.15),
    )
    pen.ellipse((0.4, 0.76), 0.18, 0.1)
    pen.arc((-0.24, 0.52), 0.3, 0.3, 1.05 * np.pi, 1.95 * np.pi, 0.04)
    pen.ellipse((-0.1, 0.77), 0.32, 0.1)
    _eye(pen, 0.44, -0.14, 0.08)
    pen.ellipse((0.72, -0.04), 0.055, 0.045, Paint.INK, outline=0)
    pen.arc((0.64, 0.0), 0.09, 0.09, 0.15 * np.pi, 0.8 * np.pi, 0.03)
    for rise in (-0.04, 0.07):
        pen.line([(0.56, 0.02 + 0.4 * rise), (0.3, 0.02 + 1.4 * rise)], 0.025)


def draw_elephant(pen: Pen) -> None:
    """Draw an elephant from the side: trunk, tusk, a big ear, four thick legs."""
    back, ear = pen.vary(0.42, 0.5), pen.vary(0.28, 0.36)
    curl = pen.vary(-0.06, 0.1)
    trunk = [(0.5, -0.2), (0.74, 0.06), (0.72, 0.4), (0.8, 0.58), (0.9, 0.5 - curl)]
    pen.line([(-0.72, -0.1), (-0.86, 0.1), (-0.84, 0.3)], 0.05)
    pen.ellipse((-0.84, 0.32), 0.055, 0.08, Paint.INK, outline=0)
    for x in (-0.36, 0.1):
        pen.box(x - 0.13, 0.1, x + 0.13, 0.74, Paint.SHADE, corner=0.05)

    def nose(outline: float) -> None:
        pen.line(trunk, 0.2 + outline, Paint.INK if outline else Paint.BODY)

    _join(
        *[lambda outline, x=x: pen.box(x, 0.1, x + 0.27, 0.84, outline=outline, corner=0.06) for x in (-0.74, 0.18)],
        lambda outline: pen.ellipse((-0.2, 0.0), 0.6, back, outline=outline),
        lambda outline: pen.ellipse((0.4, -0.28), 0.36, 0.34, outline=outline),
        nose,
    )
    pen.blob([(0.5, 0.0), (0.6, 0.2), (0.56, 0.3), (0.42, 0.06)], Paint.WHITE)
    edge = [(0.26, -0.56), (-0.1, -0.28 - ear), (-0.26, -0.3), (-0.16, ear - 0.26), (0.06, ear - 0.14), (0.22, -0.1)]
    pen.blob(edge, outline=0.045)
    pen.blob([(0.72 * x + 0.02, 0.7 * y - 0.08) for x, y in edge], Paint.LIGHT, outline=0)
    _eye(pen, 0.48, -0.32, 0.06)
    for x in (-0.67, -0.55, 0.25, 0.37):
        pen.sector((x, 0.83), 0.055, 0.07, np.pi, 2 * np.pi, Paint.WHITE, outline=0.02)


def draw_snail(pen: Pen) -> None:
    """Draw a snail: a spiral shell on a long foot, two eyes on stalks."""
    shell = pen.vary(0.58, 0.65)
    turns, stalk = pen.vary(1.8, 2.3), pen.vary(-0.56, -0.42)
    foot = [(-0.88, 0.8), (-0.5, 0.5), (0.2, 0.5), (0.48, 0.3), (0.48, -0.04), (0.66, -0.16), (0.84, 0.02)]
    for x, tip in ((0.58, stalk), (0.74, stalk + 0.08)):
        pen.line([(x, 0.0), (x + 0.06, tip)], 0.06)
        pen.ellipse((x + 0.06, tip), 0.085, paint=Paint.WHITE)
        pen.ellipse((x + 0.08, tip), 0.04, paint=Paint.INK, outline=0)
    pen.blob([*foot, (0.8, 0.4), (0.66, 0.72), (0.4, 0.84), (-0.3, 0.84)], Paint.LIGHT)
    pen.arc((0.68, 0.08), 0.1, 0.08, 0.1 * np.pi, 0.8 * np.pi, 0.035)
    centre = (-0.24, 0.64 - shell)
    pen.ellipse(centre, shell)
    angles = np.linspace(0.2, 2 * np.pi * turns, 40)
    radii = 0.86 * shell * angles / angles[-1]
    spiral = [(centre[0] + r * np.cos(a), centre[1] + r * np.sin(a)) for r, a in zip(radii, angles, strict=True)]
    pen.line(spiral, 0.05, smooth=False)


def _eye(pen: Pen, x: float, y: float, radius: float) -> None:
    pen.ellipse((x, y), radius, radius * 1.15, Paint.INK, outline=0)
    pen.ellipse((x + 0.3 * radius, y - 0.4 * radius), 0.36 * radius, paint=Paint.WHITE, outline=0)


def _join(*shapes: Callable[[float], None]) -> None:
    """Draw shapes as one: all outlines first, then all fillings, so that no line runs where they meet."""
    for outline in (0.07, 0.0):
        for shape in shapes:
            shape(outline)


ANIMALS: tuple[Concept, ...] = (
    Concept("cat", "animals", draw_cat),
    Concept("fish", "animals", draw_fish),
    Concept("bird", "animals", draw_bird),
    Concept("butterfly", "animals", draw_butterfly),
    Concept("turtle", "animals", draw_turtle),
    Concept("rabbit", "animals", draw_rabbit),
    Concept("elephant", "animals", draw_elephant),
    Concept("snail", "animals", draw_snail),
)
