"""Drawn tools and things in daily use."""

from __future__ import annotations

import numpy as np

from stimuli.drawn.concept import Concept
from stimuli.drawn.pen import Paint, Pen


def draw_key(pen: Pen) -> None:
    """Draw a stout key lying aslant: a bow with a hole, a shaft, two teeth."""
    pen.turn(pen.vary(0.55, 0.95))
    bow, half = pen.vary(0.5, 0.56), pen.vary(0.15, 0.18)
    teeth = [(half, 0.46), (0.5, 0.46), (0.5, 0.62), (half, 0.62), (half, 0.74), (0.42, 0.74), (0.42, 0.94)]
    pen.polygon([(-half, -0.4), (half, -0.4), *teeth, (half, 1.04), (-half, 1.04)], outline=0.045)
    pen.ellipse((0, -0.54), bow, outline=0.045)
    pen.box(-half - 0.08, -0.06, half + 0.08, 0.06, Paint.LIGHT, corner=0.05)
    pen.ellipse((0, -0.62), pen.vary(0.16, 0.2), paint=Paint.GROUND, outline=0.045)


def draw_hammer(pen: Pen) -> None:
    """Draw a claw hammer lying aslant: a heavy head with face and claw, a thick handle with a grip."""
    pen.turn(pen.vary(0.4, 0.8))
    half = pen.vary(0.16, 0.19)
    pen.polygon([(-half + 0.02, -0.4), (half - 0.02, -0.4), (half + 0.03, 1.06), (-half - 0.03, 1.06)], outline=0.045)
    pen.box(-half - 0.05, 0.68, half + 0.05, 1.1, Paint.LIGHT, corner=0.1)
    for y in (0.79, 0.89, 0.99):
        pen.line([(-half, y), (half, y)], 0.035)
    claw = pen.vary(-0.3, -0.2)
    pen.blob(
        [(0.2, -0.88), (-0.4, -0.84), (-0.74, -0.66), (-0.92, claw), (-0.62, claw - 0.16), (-0.3, -0.28), (0.2, -0.3)]
    )
    pen.box(-0.24, -0.92, 0.5, -0.26, corner=0.06)
    pen.box(-0.2, -0.88, 0.3, -0.3, outline=0)
    pen.box(0.44, -0.98, pen.vary(0.72, 0.8), -0.2, Paint.SHADE, corner=0.08)


def draw_scissors(pen: Pen) -> None:
    """Draw open scissors: two crossed blades, two big ring handles."""
    spread, reach = pen.vary(0.3, 0.42), pen.vary(0.82, 0.92)
    ring, hole = pen.vary(0.43, 0.46), pen.vary(0.15, 0.18)
    for side in (-1, 1):
        x, y = side * spread, -reach
        pen.polygon(
            [(x, y), (side * 0.14 - side * 0.06, 0.06), (-side * 0.16, 0.2), (-side * 0.26, 0.1)], Paint.WHITE, 0.045
        )
    for side in (-1, 1):
        pen.line([(side * 0.04, 0.08), (side * 0.26, 0.34)], 0.24, Paint.INK)
        pen.ellipse((side * 0.46, 0.48), ring, ring * 0.98, outline=0.045)
        pen.line([(side * 0.06, 0.1), (side * 0.3, 0.34)], 0.16, Paint.BODY)
        pen.ellipse((side * 0.48, 0.5), hole, hole * 1.1, Paint.GROUND, outline=0.045)
    pen.ellipse((0, 0.06), 0.07, paint=Paint.INK)


def draw_umbrella(pen: Pen) -> None:
    """Draw an open umbrella: a dome of panels with a scalloped edge, a stick with a hooked handle."""
    width, rim = pen.vary(0.88, 0.94), pen.vary(0.12, 0.2)
    pen.line([(0, -0.92), (0, 0.5)], 0.07)
    side = 0.17
    pen.line([(0, rim), (0, 0.6)], 0.09)
    pen.arc((side, 0.68), side, 0.2, 0, np.pi, 0.12)
    angles = np.linspace(np.pi, 2 * np.pi, 25)
    height = pen.vary(0.88, 0.98)
    dome = [(width * np.cos(a), rim + height * np.sin(a)) for a in angles]
    panels = 4
    edge = []
    for k in range(panels):
        for t in np.linspace(0, 1, 9)[:-1]:
            x = width * (1 - 2 * (k + t) / panels)
            edge.append((x, rim - 0.11 * np.sin(np.pi * t)))
    pen.polygon([*dome, *edge], outline=0.045)
    for x in (-0.5, 0.0, 0.5):
        pen.line([(0, rim - height), (x * width * 0.85, rim - height * 0.55), (x * width, rim)], 0.04)


def draw_cup(pen: Pen) -> None:
    """Draw a cup from the side: a tapered bowl with a handle and steam, on a saucer."""
    half, rim = pen.vary(0.54, 0.6), pen.vary(-0.34, -0.24)
    foot = half * pen.vary(0.62, 0.8)
    pen.ellipse((0, 0.74), 0.88, 0.15, Paint.LIGHT)
    pen.arc((half * 0.95 - 0.14, rim + 0.38), 0.3, 0.25, -np.pi / 2, np.pi / 2, 0.2)
    pen.arc((half * 0.95 - 0.14, rim + 0.38), 0.3, 0.25, -np.pi / 2, np.pi / 2, 0.12, Paint.BODY)
    left = -0.14
    bowl = [
        (half, rim),
        (half * 0.96, rim + 0.5),
        (foot, 0.66),
        (0, 0.76),
        (-foot, 0.66),
        (-half * 0.96, rim + 0.5),
        (-half, rim),
    ]
    pen.blob([(x + left, y) for x, y in bowl])
    pen.ellipse((left, rim), half, 0.13, Paint.WHITE)
    pen.ellipse((left, rim + 0.03), half * 0.8, 0.075, Paint.SHADE, outline=0)
    for x in (-0.24, 0.0, 0.24):
        bend = pen.vary(0.06, 0.1)
        pen.line(
            [
                (left + x, rim - 0.2),
                (left + x + bend, rim - 0.33),
                (left + x - bend, rim - 0.46),
                (left + x, rim - 0.6),
            ],
            0.06,
        )


def draw_spoon(pen: Pen) -> None:
    """Draw a stout spoon lying aslant: a deep oval bowl, a handle that widens to its end."""
    pen.turn(pen.vary(0.55, 0.95))
    width, neck = pen.vary(0.46, 0.52), pen.vary(0.055, 0.075)
    handle = [(neck, -0.1), (neck, 0.3), (0.19, 0.86), (0.17, 1.06)]
    pen.blob([*handle, (0, 1.16), *((-x, y) for x, y in reversed(handle))], outline=0.045)
    pen.line([(-0.07, 0.84), (0, 0.76), (0.07, 0.84), (0, 1.0), (-0.07, 0.84)], 0.04)
    bowl = [(width * 0.62, -0.98), (width, -0.52), (width * 0.72, -0.12)]
    outer = [(0, -1.14), *bowl, (0, 0.12), *((-x, y) for x, y in reversed(bowl))]
    pen.blob(outer, outline=0.045)
    pen.line([(0, 0.0), (0, 0.26)], neck * 2 - 0.04, Paint.BODY)
    # The hollow: one side of the bowl lies in shadow, the other catches the light.
    pen.blob([(0.84 * x, 0.84 * y - 0.08) for x, y in outer], Paint.SHADE, outline=0)
    pen.blob([(0.72 * x - 0.09, 0.8 * y - 0.12) for x, y in outer], outline=0)
    pen.arc((-0.04, -0.54), width * 0.6, 0.38, np.pi * 0.9, np.pi * 1.35, 0.09, Paint.WHITE)


TOOLS: tuple[Concept, ...] = (
    Concept("key", "tools", draw_key),
    Concept("hammer", "tools", draw_hammer),
    Concept("scissors", "tools", draw_scissors),
    Concept("umbrella", "tools", draw_umbrella),
    Concept("cup", "tools", draw_cup),
    Concept("spoon", "tools", draw_spoon),
)
