"""Drawn plants."""

from __future__ import annotations

import numpy as np

from stimuli.drawn.concept import Concept
from stimuli.drawn.pen import Paint, Pen


def draw_tree(pen: Pen) -> None:
    """Draw a tree: a trunk with a fork, a lumpy crown, fruit."""
    half = pen.vary(0.11, 0.15)
    pen.polygon([(-half, 0.2), (half, 0.2), (half + 0.12, 0.88), (-half - 0.12, 0.88)], Paint.SHADE)
    lumps = int(pen.rng.integers(7, 10))
    width, height = pen.vary(0.56, 0.64), pen.vary(0.44, 0.5)
    start = pen.vary(0, 2 * np.pi)
    angles = [start + 2 * np.pi * k / lumps for k in range(lumps)]
    centres = [(width * np.cos(angle), height * np.sin(angle) - 0.26) for angle in angles]
    size = 3.0 / lumps * pen.vary(0.62, 0.68)
    for centre in centres:
        pen.ellipse(centre, size, outline=0.07)
    for centre in centres:
        pen.ellipse(centre, size - 0.01, outline=0)
    pen.ellipse((0, -0.26), width, height, outline=0)
    for side in (-1, 1):
        pen.line([(0, 0.3), (side * 0.06, 0.1), (side * 0.24, -0.06)], 0.09, Paint.SHADE)
    for x, y in ((-0.42, -0.3), (0.02, -0.55), (0.44, -0.32), (-0.1, -0.2)):
        pen.ellipse((x + pen.vary(-0.06, 0.06), y + pen.vary(-0.06, 0.06)), 0.085, paint=Paint.WHITE)


def draw_flower(pen: Pen) -> None:
    """Draw a flower: petals around a middle, a stem with two leaves."""
    petals = int(pen.rng.integers(5, 8))
    y = pen.vary(-0.28, -0.22)
    pen.line([(0, y), (pen.vary(-0.06, 0.06), 0.4), (0, 0.9)], 0.1, Paint.INK)
    for side in (-1, 1):
        tip = pen.vary(0.42, 0.54)
        pen.blob(
            [(0, 0.84), (side * tip * 0.5, 0.58), (side * tip, 0.5), (side * tip * 0.75, 0.76)],
            Paint.BODY,
        )
    start = pen.vary(0, 2 * np.pi)
    length, width = pen.vary(0.32, 0.35), pen.vary(1.2, 1.36) / petals + 0.03
    for k in range(petals):
        angle = start + 2 * np.pi * k / petals
        pen.ellipse((0.36 * np.cos(angle), y + 0.36 * np.sin(angle)), length, width, turn_rad=angle)
    pen.ellipse((0, y), pen.vary(0.16, 0.19), paint=Paint.WHITE)


def draw_cactus(pen: Pen) -> None:
    """Draw a cactus: a column with two raised arms and spines, in a pot."""
    half = pen.vary(0.25, 0.3)
    for side in (-1, 1):
        elbow, tip = pen.vary(0.02, 0.2), pen.vary(-0.5, -0.2)
        path = [(0, elbow), (side * 0.5, elbow), (side * 0.64, elbow - 0.14), (side * 0.64, tip)]
        pen.line(path, 0.36, Paint.INK)
        pen.line(path, 0.29, Paint.BODY)
    pen.box(-half, pen.vary(-0.88, -0.78), half, 0.6, corner=half - 0.01)
    for x in (-0.5, 0.5):
        pen.line([(x * half, -0.5), (x * half, 0.45)], 0.035)
    for y in (-0.55, -0.25, 0.05, 0.32):
        for side in (-1, 1):
            pen.line([(side * half, y), (side * (half + 0.12), y - 0.06)], 0.04)
    pen.polygon([(-0.42, 0.5), (0.42, 0.5), (0.32, 0.9), (-0.32, 0.9)], Paint.WHITE)
    pen.box(-0.48, 0.42, 0.48, 0.58, Paint.SHADE, corner=0.04)


def draw_mushroom(pen: Pen) -> None:
    """Draw a mushroom: a domed cap with white spots on a stout pale stalk."""
    half, rim = pen.vary(0.2, 0.27), pen.vary(0.16, 0.24)
    pen.blob(
        [(-half, rim), (half, rim), (half, 0.5), (half + 0.12, 0.84), (0, 0.9), (-half - 0.12, 0.84), (-half, 0.5)],
        Paint.WHITE,
    )
    pen.ellipse((0, rim + 0.02), 0.62, 0.15, Paint.SHADE)
    pen.sector((0, rim), pen.vary(0.84, 0.9), pen.vary(0.98, 1.08), np.pi, 2 * np.pi)
    lean = pen.vary(-0.08, 0.08)
    for x, y, radius in ((0, -0.5, 0.17), (-0.46, -0.22, 0.14), (0.46, -0.24, 0.14), (0.02, -0.1, 0.1)):
        pen.ellipse((x + lean, y), radius * pen.vary(0.9, 1.1), paint=Paint.WHITE)


def draw_leaf(pen: Pen) -> None:
    """Draw a leaf lying aslant: toothed edge, midrib, side veins, stalk."""
    pen.turn(pen.vary(0.6, 0.9))
    width = pen.vary(0.52, 0.6)
    pen.line([(0, 0.5), (0.02, 0.85), (pen.vary(0.06, 0.16), 1.1)], 0.1)
    y = np.linspace(-1.02, 0.78, 15)
    place = np.linspace(0, 1, 15)
    bulge = width * np.sin(np.pi * place**0.85) ** 0.8
    bulge[1:-1] += np.where(np.arange(13) % 2, -0.035, 0.035)
    right = list(zip(bulge.tolist(), y.tolist(), strict=True))
    pen.polygon([*right, *((-x, y) for x, y in reversed(right[1:-1]))], outline=0.045)
    pen.line([(0, -0.85), (0, 0.8)], 0.06)
    rise = pen.vary(0.18, 0.26)
    for y_vein, reach in ((-0.38, 0.3), (0.0, 0.4), (0.38, 0.36)):
        for side in (-1, 1):
            pen.line([(0, y_vein), (side * reach, y_vein - rise)], 0.045)


PLANTS: tuple[Concept, ...] = (
    Concept("tree", "plants", draw_tree),
    Concept("flower", "plants", draw_flower),
    Concept("cactus", "plants", draw_cactus),
    Concept("mushroom", "plants", draw_mushroom),
    Concept("leaf", "plants", draw_leaf),
)
