"""Drawn people: a face, a hand, an eye."""

from __future__ import annotations

import numpy as np

from stimuli.drawn.concept import Concept
from stimuli.drawn.pen import Paint, Pen


def draw_face(pen: Pen) -> None:
    """Draw a face from the front: hair in one of four styles, ears, eyes, nose, mouth."""
    width, height = pen.vary(0.65, 0.71), pen.vary(0.72, 0.77)
    middle = 0.1
    style = ("long", "short", "curly", "bun")[int(pen.rng.integers(4))]
    _draw_back_hair(pen, style, width, middle)
    for side in (-1, 1):
        pen.ellipse((side * width, middle + 0.04), 0.11, 0.15)
    pen.ellipse((0, middle), width, height)
    _draw_fringe(pen, style, width, height, middle)

    eye_y, eye_x = middle + pen.vary(-0.04, 0.04), width * pen.vary(0.42, 0.48)
    for side in (-1, 1):
        pen.ellipse((side * eye_x, eye_y), 0.12, 0.12, Paint.WHITE)
        pen.ellipse((side * eye_x, eye_y + 0.01), 0.065, paint=Paint.INK, outline=0)
        pen.arc((side * eye_x, eye_y - 0.1), 0.14, 0.1, 1.2 * np.pi, 1.8 * np.pi, 0.05)
    pen.line([(0, eye_y + 0.1), (pen.vary(-0.08, -0.05), 0.34), (0.04, 0.36)], 0.045)
    pen.sector((0, 0.5), pen.vary(0.2, 0.28), pen.vary(0.12, 0.18), 0, np.pi, Paint.WHITE)


def _draw_back_hair(pen: Pen, style: str, width: float, middle: float) -> None:
    if style == "long":
        out, low = width + pen.vary(0.1, 0.16), pen.vary(0.6, 0.85)
        right = [(0.5 * out, -0.72), (0.96 * out, -0.3), (out, 0.2), (out + 0.02, low), (0.5 * out, low + 0.02)]
        left = [(-x, y) for x, y in reversed(right)]
        pen.blob([(0, -0.82), *right, *left], Paint.SHADE)
    elif style == "curly":
        for angle in np.linspace(0.93 * np.pi, 2.07 * np.pi, 9):
            x, y = (width - 0.03) * np.cos(angle), middle - 0.08 + 0.62 * np.sin(angle)
            pen.ellipse((x, y), pen.vary(0.18, 0.23), paint=Paint.SHADE)
    elif style == "bun":
        pen.ellipse((0, -0.7), pen.vary(0.18, 0.24), paint=Paint.SHADE)


def _draw_fringe(pen: Pen, style: str, width: float, height: float, middle: float) -> None:
    """Draw the hair over the forehead: the head's upper edge above, the style's hairline below."""
    temple = 0.25
    angles = np.linspace(np.pi + temple, 2 * np.pi - temple, 15)
    above = [((width + 0.04) * np.cos(a), middle + (height + 0.05) * np.sin(a)) for a in angles]
    parting = pen.vary(-0.2, 0.2)
    if style == "short":  # locks that end in points
        ends = np.linspace(0.86, -0.86, 2 * int(pen.rng.integers(3, 5)) + 1) * width
        below = [(x, -0.1 - 0.28 * (1 - (x / width) ** 2) + (-0.13 if i % 2 else 0.0)) for i, x in enumerate(ends)]
        pen.polygon([*above, *below], Paint.SHADE)
    elif style == "curly":
        for x in np.linspace(-0.72, 0.72, 5) * width:
            pen.ellipse((x, -0.4 + 0.34 * x * x), 0.15, paint=Paint.SHADE, outline=0)
        for x in np.linspace(-0.6, 0.6, 4) * width:
            pen.arc((x, -0.38 + 0.34 * x * x), 0.1, 0.1, 0.1 * np.pi, 1.2 * np.pi, 0.03)
    else:  # two curtains from a parting
        half = 0.5 * width
        below = [(0.86 * width, -0.1), (parting + half, -0.3), (parting, -0.5)]
        below += [(parting - half, -0.3), (-0.86 * width, -0.1)]
        pen.polygon([*above, *[(float(np.clip(x, -0.86 * width, 0.86 * width)), y) for x, y in below]], Paint.SHADE)
        pen.line([(parting, -0.5), (parting, middle - height - 0.02)], 0.03)


def draw_hand(pen: Pen) -> None:
    """Draw an open hand from its palm: four fingers, a thumb, a sleeve."""
    spread = pen.vary(0.85, 1.2)
    plump = pen.vary(0.2, 0.235)
    fingers = []
    for root_x, lean, length in ((-0.3, -0.3, 0.52), (-0.1, -0.09, 0.66), (0.11, 0.1, 0.63), (0.3, 0.32, 0.46)):
        reach, turn = length * pen.vary(0.92, 1.08), lean * spread
        tip = (root_x + (reach + 0.1) * np.sin(turn), -0.08 - reach * np.cos(turn))
        fingers.append([(root_x, 0.15), (0.5 * (root_x + tip[0]) - 0.01, 0.5 * (tip[1] + 0.08)), tip])
    thumb = [(-0.15, 0.42), (-0.46, 0.26), (-0.5 - 0.22 * spread, pen.vary(-0.08, 0.04))]
    palm = [(-0.38, 0.02), (0, -0.06), (0.39, 0.02), (0.43, 0.32), (0.27, 0.66), (-0.25, 0.66), (-0.41, 0.36)]
    wrist = [(-0.25, 0.5), (0.27, 0.5), (0.27, 0.85), (-0.25, 0.85)]
    for ink in (True, False):  # outlines first, so that the parts join without seams
        paint, extra, outline = (Paint.INK, 0.07, 0.07) if ink else (Paint.BODY, 0.0, 0.0)
        pen.polygon(wrist, outline=outline)
        pen.blob(palm, outline=outline)
        for finger in fingers:
            pen.line(finger, plump + extra, paint)
        pen.line(thumb, plump + 0.03 + extra, paint)
    pen.line([(-0.24, 0.5), (-0.08, 0.34), (-0.06, 0.12)], 0.03)
    pen.line([(-0.02, 0.14), (0.14, 0.24), (0.34, 0.22)], 0.03)
    pen.box(-0.36, 0.7, 0.38, 0.88, Paint.LIGHT, corner=0.06)


def draw_eye(pen: Pen) -> None:
    """Draw one big eye: brow, lids with lashes, white, iris, pupil."""
    open_up, open_down = pen.vary(0.42, 0.48), pen.vary(0.4, 0.46)
    look = pen.vary(-0.1, 0.1)
    brow = pen.vary(-0.05, 0.05)
    pen.line([(-0.7, -0.6 + brow), (-0.1, -0.86), (0.68, -0.62 - brow)], 0.19, Paint.INK)
    pen.line([(-0.7, -0.6 + brow), (-0.1, -0.86), (0.68, -0.62 - brow)], 0.12, Paint.SHADE)
    lashes = int(pen.rng.integers(4, 7))
    for angle in np.linspace(1.2 * np.pi, 1.8 * np.pi, lashes):
        x, y = np.cos(angle), np.sin(angle)
        pen.line([(0.77 * x, 0.1 + 0.6 * y), (0.97 * x, 0.1 + 0.83 * y)], 0.05)
    lid = [(-0.95, 0.14), (-0.62, -0.38), (0, -0.6), (0.62, -0.38), (0.95, 0.14), (0.6, 0.62), (0, 0.82), (-0.6, 0.62)]
    pen.blob(lid)
    up, down = 0.12 - open_up, 0.12 + open_down
    white = [(-0.78, 0.14), (-0.4, 0.14 + 0.72 * (up - 0.14)), (0, up), (0.4, 0.14 + 0.72 * (up - 0.14)), (0.78, 0.14)]
    white += [(0.4, 0.12 + 0.74 * (down - 0.12)), (0, down), (-0.4, 0.12 + 0.74 * (down - 0.12))]
    pen.blob(white, Paint.WHITE, outline=0.05)
    iris = min(open_up, open_down) - 0.02
    pen.ellipse((look, 0.12), iris)
    pen.ellipse((look, 0.12), iris * pen.vary(0.4, 0.52), paint=Paint.INK, outline=0)
    pen.ellipse((look + 0.09, 0.02), 0.07, paint=Paint.WHITE, outline=0)


PEOPLE: tuple[Concept, ...] = (
    Concept("face", "people", draw_face),
    Concept("hand", "people", draw_hand),
    Concept("eye", "people", draw_eye),
)
