"""Drawn buildings and furniture."""

from __future__ import annotations

import numpy as np

from stimuli.drawn.concept import Concept
from stimuli.drawn.pen import Paint, Pen


def draw_house(pen: Pen) -> None:
    """Draw a house: gabled roof with a chimney, door, two windows."""
    half, eaves = pen.vary(0.66, 0.74), pen.vary(-0.28, -0.18)
    ridge = pen.vary(-0.92, -0.8)
    chimney = pen.vary(0.32, 0.42)
    pen.box(chimney, ridge + 0.02, chimney + 0.2, eaves, Paint.WHITE)
    pen.box(-half, eaves - 0.05, half, 0.85)
    pen.polygon([(0, ridge), (half + 0.2, eaves), (-half - 0.2, eaves)], Paint.SHADE)
    door = pen.vary(-0.1, 0.1)
    pen.box(door - 0.15, 0.32, door + 0.15, 0.85, Paint.INK)
    pen.ellipse((door + 0.08, 0.6), 0.035, paint=Paint.WHITE, outline=0)
    for x in (door - 0.42, door + 0.42):
        pen.box(x - 0.14, 0.1, x + 0.14, 0.4, Paint.WHITE)
        pen.line([(x, 0.1), (x, 0.4)], 0.03)
        pen.line([(x - 0.14, 0.25), (x + 0.14, 0.25)], 0.03)


def draw_castle(pen: Pen) -> None:
    """Draw a castle: two towers with battlements and flags, a wall with a gate."""
    wall, width = pen.vary(-0.2, -0.06), pen.vary(0.46, 0.52)
    pen.polygon(_battlement(-0.5, 0.5, wall, 0.85, 4))
    pen.sector((0, 0.87), 0.24, pen.vary(0.46, 0.58), np.pi, 2 * np.pi, Paint.INK)
    for side in (-1, 1):
        top = pen.vary(-0.6, -0.44)
        left = side * (0.88 - width / 2) - width / 2
        middle = left + width / 2
        pen.line([(middle, top), (middle, top - 0.36)], 0.05)
        pen.polygon([(middle, top - 0.38), (middle + 0.26, top - 0.27), (middle, top - 0.16)], Paint.SHADE)
        pen.polygon(_battlement(left, left + width, top, 0.85, 3))
        pen.box(middle - 0.07, top + 0.36, middle + 0.07, top + 0.66, Paint.INK, corner=0.06)


def draw_windmill(pen: Pen) -> None:
    """Draw a windmill: a tapered tower with a cap and a door, four crossed sails."""
    top, base = pen.vary(0.36, 0.42), pen.vary(0.66, 0.74)
    hub = (0.0, pen.vary(-0.32, -0.26))
    pen.polygon([(-top, hub[1]), (top, hub[1]), (base, 0.9), (-base, 0.9)])
    pen.sector((0, hub[1] + 0.04), top + 0.05, 0.32, np.pi, 2 * np.pi, Paint.SHADE)
    pen.sector((0, 0.92), 0.16, 0.4, np.pi, 2 * np.pi, Paint.INK)
    start = np.pi / 4 + pen.vary(-0.3, 0.3)
    for k in range(4):
        cosine, sine = np.cos(start + k * np.pi / 2), np.sin(start + k * np.pi / 2)

        def at(along: float, across: float, c: float = cosine, s: float = sine) -> tuple[float, float]:
            return hub[0] + along * c - across * s, hub[1] + along * s + across * c

        pen.line([hub, at(0.84, 0)], 0.07)
        pen.polygon([at(0.22, 0), at(0.84, 0), at(0.84, 0.2), at(0.22, 0.2)], Paint.WHITE)
        for along in (0.43, 0.64):
            pen.line([at(along, 0), at(along, 0.2)], 0.03)
    pen.ellipse(hub, 0.09, paint=Paint.SHADE)


def draw_lamp(pen: Pen) -> None:
    """Draw a table lamp: a wide shade over a lit bulb, a slim neck, a rounded foot."""
    brim, crown = pen.vary(0.74, 0.84), pen.vary(0.36, 0.46)
    rim = pen.vary(0.08, 0.16)
    pen.line([(0, 0.0), (0, 0.6)], 0.12)
    pen.ellipse((0, rim + 0.06), 0.17, 0.15, Paint.WHITE)
    pen.blob([(-0.13, 0.4), (0.13, 0.4), (0.3, 0.66), (0.2, 0.86), (-0.2, 0.86), (-0.3, 0.66)], Paint.BODY)
    pen.box(-0.4, 0.8, 0.4, 0.92, Paint.SHADE, corner=0.05)
    pen.polygon([(-crown, -0.82), (crown, -0.82), (brim, rim), (-brim, rim)])
    pen.polygon([(-brim + 0.03, rim - 0.12), (brim - 0.03, rim - 0.12), (brim, rim), (-brim, rim)], Paint.LIGHT)
    cord = brim * 0.62
    pen.line([(cord, rim), (cord, rim + 0.26)], 0.03)
    pen.ellipse((cord, rim + 0.3), 0.055, paint=Paint.INK, outline=0)


def draw_chair(pen: Pen) -> None:
    """Draw a chair seen from the front and a little to the side: back, seat, four legs."""
    back, seat = pen.vary(0.45, 0.52), pen.vary(0.08, 0.16)
    slant = pen.vary(0.26, 0.34)
    left = -0.62
    right = left + 2 * back
    for x in (left + 0.05, right - 0.05):
        pen.box(x - 0.06, seat, x + 0.06, 0.66, Paint.SHADE)
    pen.box(left, -0.92, right, seat - 0.02, corner=0.1)
    for x in (left + back * 0.66, left + back * 1.34):
        pen.box(x - 0.065, -0.68, x + 0.065, seat - 0.16, Paint.GROUND, corner=0.05)
    depth = 0.3
    near = seat + depth
    pen.box(left + slant, near, left + slant + 0.13, 0.92, Paint.SHADE)
    pen.box(right + slant - 0.13, near, right + slant, 0.92, Paint.SHADE)
    pen.polygon([(left, seat), (right, seat), (right + slant, near), (left + slant, near)])
    pen.box(left + slant, near, right + slant, near + 0.12)


def draw_clock(pen: Pen) -> None:
    """Draw an alarm clock: a round case with a white dial and hands, two bells, two feet."""
    radius = pen.vary(0.68, 0.73)
    for side in (-1, 1):
        pen.line([(side * 0.3, 0.6), (side * 0.52, 0.92)], 0.14)
        pen.ellipse((side * 0.46, -0.6), 0.28, 0.2, turn_rad=side * 0.7)
    pen.line([(0, -0.5), (0, -0.82)], 0.07)
    pen.line([(-0.1, -0.84), (0.1, -0.84)], 0.11)
    pen.ellipse((0, 0.12), radius, outline=0.045)
    dial = radius * pen.vary(0.54, 0.58)
    pen.ellipse((0, 0.12), dial, paint=Paint.WHITE)
    for k in range(12):
        cosine, sine = np.cos(k * np.pi / 6), np.sin(k * np.pi / 6)
        inner = 0.72 if k % 3 == 0 else 0.82
        pen.line([(dial * f * cosine, 0.12 + dial * f * sine) for f in (inner, 0.88)], 0.04)
    minute = pen.vary(0, 2 * np.pi)
    hour = minute + pen.vary(0.8, 2 * np.pi - 0.8)
    for angle, length, width in ((minute, 0.3, 0.05), (hour, 0.19, 0.075)):
        pen.line([(0, 0.12), (length * np.cos(angle), 0.12 + length * np.sin(angle))], width)


def _battlement(left: float, right: float, top: float, bottom: float, teeth: int) -> list[tuple[float, float]]:
    """Corners of a wall whose upper edge has `teeth` merlons."""
    step = (right - left) / (2 * teeth - 1)
    edge = []
    for k in range(2 * teeth - 1):
        y = top if k % 2 == 0 else top + 0.13
        edge += [(left + k * step, y), (left + (k + 1) * step, y)]
    return [*edge, (right, bottom), (left, bottom)]


HOME: tuple[Concept, ...] = (
    Concept("house", "buildings and furniture", draw_house),
    Concept("castle", "buildings and furniture", draw_castle),
    Concept("windmill", "buildings and furniture", draw_windmill),
    Concept("lamp", "buildings and furniture", draw_lamp),
    Concept("chair", "buildings and furniture", draw_chair),
    Concept("clock", "buildings and furniture", draw_clock),
)
