"""Drawn food."""

from __future__ import annotations

import numpy as np

from stimuli.drawn.concept import Concept
from stimuli.drawn.pen import Paint, Pen


def draw_apple(pen: Pen) -> None:
    """Draw an apple: dimpled at the top and the bottom, with a stalk and a leaf."""
    wide, foot = pen.vary(0.66, 0.76), pen.vary(0.26, 0.36)
    right = [(0.22, -0.48), (0.52, -0.55), (wide, -0.1), (wide - 0.08, 0.36), (foot, 0.8), (0.1, 0.8)]
    pen.blob([(0, -0.36), *right, (0, 0.74), *[(-x, y) for x, y in reversed(right)]])
    pen.line([(0, -0.34), (0.0, -0.64), (pen.vary(-0.16, -0.04), -0.8)], 0.08)
    leaf = pen.vary(-0.04, 0.1)
    pen.blob([(0.02, -0.54), (0.16, -0.78 + leaf), (0.5, -0.86 + leaf), (0.4, -0.6 + leaf)], Paint.SHADE)
    pen.line([(0.06, -0.58), (0.36, -0.74 + leaf)], 0.03)
    pen.arc((0, 0.1), wide - 0.16, 0.5, 1.02 * np.pi, 1.3 * np.pi, 0.08, Paint.WHITE)


def draw_banana(pen: Pen) -> None:
    """Draw a bunch of two or three bananas on one stalk: crescents that taper to dark tips."""
    thick, bend = pen.vary(0.2, 0.24), pen.vary(-0.06, 0.06)
    turns = (0.38, -0.08) if pen.rng.uniform() < 0.5 else (0.46, 0.16, -0.14)
    stalk = (0.58, -0.66)
    for turn in turns:
        cosine, sine = np.cos(turn), np.sin(turn)
        spine = [(0.0, 0.0), (0.16, 0.36), (0.06, 0.76 + bend), (-0.28, 1.06), (-0.76, 1.12 - bend), (-1.06, 1.0)]
        path = [(stalk[0] + x * cosine - y * sine, stalk[1] + (x * sine + y * cosine)) for x, y in spine]
        _draw_crescent(pen, path, thick)
    pen.line([(stalk[0], stalk[1] + 0.06), (stalk[0] + 0.06, stalk[1] - 0.2)], 0.2, Paint.INK)


def _draw_crescent(pen: Pen, spine: list[tuple[float, float]], thick: float) -> None:
    """Draw one banana along its spine."""
    at = np.asarray(spine)
    along = np.gradient(at, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    girth = thick * np.array([0.34, 0.86, 1.0, 1.0, 0.8, 0.2])[:, None]
    edge = np.concatenate([at + across * girth, (at - across * girth)[::-1]])
    pen.blob([(float(x), float(y)) for x, y in edge])
    ridge = (at - 0.3 * across * girth)[1:-1]
    pen.line([(float(x), float(y)) for x, y in ridge], 0.03)
    pen.line([spine[-1], tuple(0.9 * at[-1] + 0.1 * at[-2])], 0.09)


def draw_ice_cream(pen: Pen) -> None:
    """Draw an ice cream: two or three scoops in a waffle cone, a berry on top."""
    half, top = pen.vary(0.42, 0.48), 0.22
    pen.polygon([(-half, top), (half, top), (0, 0.94)], Paint.LIGHT)
    for share in (0.28, 0.56):
        for side in (-1, 1):
            start = (side * half * (1 - share), top + 0.72 * share)
            pen.line([start, (side * half * (1 - 2 * share), top)], 0.03)
    scoop = pen.vary(0.4, 0.44)
    if pen.rng.uniform() < 0.5:
        pen.ellipse((0, -0.42), scoop)
    else:
        pen.ellipse((0, -0.54), scoop - 0.1)
        for x in (-0.3, 0.3):
            pen.ellipse((x, -0.3), scoop - 0.08)
    pen.ellipse((0, 0.0), pen.vary(0.58, 0.64), 0.36)
    drops = [(x, pen.vary(0.3, 0.42)) for x in (-0.64 * half, 0.0, 0.64 * half)[: int(pen.rng.integers(2, 4))]]
    for x, low in drops:  # melting over the rim
        pen.line([(x, 0.24), (x, low)], 0.2)
        pen.line([(x, 0.1), (x, low)], 0.13, Paint.BODY)
    pen.ellipse((0.02, -0.8), 0.12, paint=Paint.SHADE)
    pen.arc((-0.2, -0.02), 0.22, 0.18, 1.05 * np.pi, 1.4 * np.pi, 0.06, Paint.WHITE)


def draw_cake(pen: Pen) -> None:
    """Draw a birthday cake: icing that drips, candles with flames, a plate."""
    half, top = pen.vary(0.7, 0.78), pen.vary(-0.32, -0.22)
    candles = int(pen.rng.integers(3, 6))
    for x in np.linspace(-0.72, 0.72, candles) * half:
        pen.box(x - 0.05, top - 0.28, x + 0.05, top + 0.05, Paint.WHITE, outline=0.03)
        flame = top - 0.42
        pen.blob(
            [(x, flame - 0.13), (x + 0.07, flame + 0.04), (x, flame + 0.12), (x - 0.07, flame + 0.04)], Paint.SHADE
        )
    pen.ellipse((0, 0.72), 0.88, 0.14, Paint.WHITE)
    pen.box(-half, top, half, 0.74, corner=0.1)
    drips = int(pen.rng.integers(4, 6))
    ends = np.linspace(half + 0.03, -half - 0.03, 2 * drips + 1)
    edge = [(x, top + (0.1 if i % 2 else pen.vary(0.2, 0.27))) for i, x in enumerate(ends)]
    pen.blob(
        [
            (-half - 0.02, top + 0.02),
            (-half + 0.14, top - 0.05),
            (half - 0.14, top - 0.05),
            (half + 0.02, top + 0.02),
            *edge,
        ],
        Paint.LIGHT,
    )


def draw_cherries(pen: Pen) -> None:
    """Draw two cherries whose stalks meet under a leaf."""
    left, right = pen.vary(0.42, 0.47), pen.vary(0.41, 0.46)
    join = (pen.vary(0.05, 0.25), -0.78)
    for x, y, radius in ((-0.45, 0.32, left), (0.46, 0.42, right)):
        pen.ellipse((x, y), radius, radius * 0.95)
        pen.arc((x, y), radius * 0.62, radius * 0.6, 1.05 * np.pi, 1.4 * np.pi, 0.07, Paint.WHITE)
        pen.arc((x, y - radius * 0.82), 0.12, 0.06, 0.1 * np.pi, 0.9 * np.pi, 0.035)
        pen.line([(x, y - radius * 0.78), (0.55 * x + 0.3 * join[0], -0.3), join], 0.06)
    leaf = pen.vary(-0.06, 0.08)
    pen.blob(
        [join, (join[0] - 0.3, -0.86 + leaf), (join[0] - 0.72, -0.62 + leaf), (join[0] - 0.34, -0.5 + leaf)],
        Paint.SHADE,
    )
    pen.line([join, (join[0] - 0.5, -0.66 + leaf)], 0.03)


def draw_pizza(pen: Pen) -> None:
    """Draw a slice of pizza: a crust on top, cheese that drips, slices of sausage."""
    half, tip = pen.vary(0.76, 0.84), pen.vary(0.82, 0.9)
    pen.polygon([(-half, -0.56), (0, -0.64), (half, -0.56), (0.06, tip), (-0.06, tip)])
    for share in (0.3, 0.62):
        x = half * (1 - share) * (1 if share < 0.5 else -1)
        y = -0.6 + (tip + 0.6) * share
        pen.line([(x, y), (x, y + pen.vary(0.1, 0.2))], 0.15)
        pen.line([(x, y - 0.05), (x, y + 0.14)], 0.08, Paint.BODY)
    for x, y in ((-0.32, -0.18), (0.26, -0.22), (0.02, 0.22), (-0.04, 0.54))[: int(pen.rng.integers(3, 5))]:
        at = (x + pen.vary(-0.05, 0.05), y + pen.vary(-0.04, 0.04))
        pen.ellipse(at, 0.13 if y < 0.4 else 0.08, paint=Paint.SHADE)
    crust = pen.vary(0.04, 0.14)
    edge = [
        (-half, -0.58),
        (-0.4, -0.58 - 0.75 * crust),
        (0, -0.58 - crust),
        (0.4, -0.58 - 0.75 * crust),
        (half, -0.58),
    ]
    pen.line(edge, 0.3)
    pen.line(edge, 0.23, Paint.BODY)


FOOD: tuple[Concept, ...] = (
    Concept("apple", "food", draw_apple),
    Concept("banana", "food", draw_banana),
    Concept("ice cream", "food", draw_ice_cream),
    Concept("cake", "food", draw_cake),
    Concept("cherries", "food", draw_cherries),
    Concept("pizza", "food", draw_pizza),
)
