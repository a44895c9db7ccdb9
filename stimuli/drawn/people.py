"""Drawn people."""

from __future__ import annotations

import numpy as np

from stimuli.drawn.concept import Concept
from stimuli.drawn.pen import Paint, Pen


def draw_face(pen: Pen) -> None:
    """Draw a face from the front: hair, eyes, nose, mouth."""
    width, height = pen.vary(0.52, 0.66), pen.vary(0.68, 0.8)
    for side in (-1, 1):
        pen.ellipse((side * width, 0.05), 0.12, 0.17)
    pen.ellipse((0, 0.05), width, height)
    fringe = pen.vary(-0.3, -0.15)
    pen.sector((0, -0.05), width + 0.05, height + 0.02, np.pi, 2 * np.pi, Paint.SHADE)
    pen.sector((0, fringe + 0.12), width - 0.04, 0.34, np.pi, 2 * np.pi, Paint.LIGHT, outline=0)
    eye_y, eye_x = pen.vary(-0.08, 0.04), width * 0.45
    for side in (-1, 1):
        pen.ellipse((side * eye_x, eye_y), 0.13, 0.1, Paint.WHITE)
        pen.ellipse((side * eye_x, eye_y), 0.065, paint=Paint.INK, outline=0)
    pen.line([(0, eye_y + 0.1), (pen.vary(-0.08, -0.05), 0.26), (0.03, 0.28)], 0.045)
    smile = pen.vary(0.3, 0.36)
    pen.sector((0, 0.43), smile, pen.vary(0.12, 0.2), 0, np.pi, Paint.WHITE)


PEOPLE: tuple[Concept, ...] = (Concept("face", "people", draw_face),)
