"""Drawn vehicles."""

from __future__ import annotations

import numpy as np

from stimuli.drawn.concept import Concept
from stimuli.drawn.pen import Paint, Pen


def draw_car(pen: Pen) -> None:
    """Draw a car from the side: cabin with windows, bonnet, lamps, two wheels."""
    roof, waist = pen.vary(-0.64, -0.56), pen.vary(-0.14, -0.08)
    front = pen.vary(0.34, 0.44)
    pen.blob(
        [
            (-0.72, waist + 0.1),
            (-0.56, roof + 0.1),
            (-0.1, roof),
            (front - 0.1, roof + 0.12),
            (front + 0.12, waist + 0.1),
        ]
    )
    pen.box(-0.92, waist, 0.92, 0.46, corner=0.2)
    pen.blob(
        [
            (-0.66, waist + 0.1),
            (-0.54, roof + 0.1),
            (-0.1, roof),
            (front - 0.1, roof + 0.12),
            (front + 0.06, waist + 0.1),
        ],
        outline=0,
    )
    pen.polygon([(-0.54, waist), (-0.44, roof + 0.16), (-0.15, roof + 0.11), (-0.15, waist)], Paint.WHITE)
    pen.polygon([(-0.05, waist), (-0.05, roof + 0.11), (front - 0.16, roof + 0.2), (front - 0.02, waist)], Paint.WHITE)
    pen.line([(-0.1, waist + 0.02), (-0.1, 0.42)], 0.035)
    pen.line([(0.0, waist + 0.12), (0.12, waist + 0.12)], 0.05)
    pen.ellipse((0.86, waist + 0.17), 0.08, 0.1, Paint.WHITE)
    wheel = pen.vary(0.23, 0.27)
    for x in (-0.5, 0.5):
        pen.ellipse((x, 0.46), wheel, paint=Paint.INK)
        pen.ellipse((x, 0.46), wheel * 0.5, paint=Paint.LIGHT, outline=0)


def draw_boat(pen: Pen) -> None:
    """Draw a sailing boat: hull, mast, two sails, a flag."""
    deck = pen.vary(0.24, 0.32)
    mast = pen.vary(-0.04, 0.1)
    pen.line([(mast, -0.9), (mast, deck)], 0.08)
    foot = deck - 0.1
    pen.polygon([(mast + 0.07, -0.8), (pen.vary(0.74, 0.86), foot), (mast + 0.07, foot)])
    pen.polygon(
        [(mast - 0.07, pen.vary(-0.7, -0.56)), (mast - 0.07, foot), (pen.vary(-0.78, -0.66), foot)], Paint.WHITE
    )
    pen.polygon([(-0.92, deck), (0.92, deck), (pen.vary(0.56, 0.66), 0.84), (pen.vary(-0.62, -0.5), 0.84)])
    pen.polygon([(-0.92, deck), (0.92, deck), (0.86, deck + 0.09), (-0.85, deck + 0.09)], Paint.SHADE)
    pen.polygon([(mast, -0.96), (mast - 0.26, -0.87), (mast, -0.78)], Paint.SHADE)


def draw_aeroplane(pen: Pen) -> None:
    """Draw an aeroplane from above, climbing aslant: body, swept wings, engines, tail."""
    pen.turn(pen.vary(0.5, 0.9))
    sweep, chord = pen.vary(0.24, 0.36), pen.vary(0.44, 0.5)
    for side in (-1, 1):
        for x in (0.42, 0.66):
            top = -0.26 + sweep * x
            pen.box(side * x - 0.07, top - 0.12, side * x + 0.07, top + 0.1, Paint.SHADE, corner=0.06)
        tip = -0.22 + sweep
        pen.polygon([(0, -0.32), (side * 0.98, tip), (side * 0.98, tip + 0.18), (0, -0.26 + chord + 0.1)])
        pen.polygon([(0, 0.56), (side * 0.42, 0.76), (side * 0.42, 0.92), (0, 0.84)], Paint.BODY)
    half = pen.vary(0.17, 0.2)
    pen.blob(
        [
            (0, -1.02),
            (half, -0.74),
            (half, 0.0),
            (half * 0.85, 0.5),
            (0, 0.98),
            (-half * 0.85, 0.5),
            (-half, 0.0),
            (-half, -0.74),
        ]
    )
    pen.sector((0, -0.68), half * 0.85, 0.17, np.pi, 2 * np.pi, Paint.WHITE)
    pen.line([(0, 0.55), (0, 0.96)], 0.07)


def draw_bicycle(pen: Pen) -> None:
    """Draw a bicycle with disc wheels: frame, saddle, handlebars, pedals."""
    radius = pen.vary(0.44, 0.47)
    y, crank = 0.4, (-0.02, 0.42)
    for x in (-0.5, 0.5):
        pen.ellipse((x, y), radius, outline=0.07)
        pen.ellipse((x, y), 0.09, paint=Paint.WHITE)
    seat, head = (pen.vary(-0.3, -0.22), -0.32), (pen.vary(0.28, 0.34), -0.36)
    frame = ([(-0.5, y), seat], [(-0.5, y), crank], [seat, crank], [seat, head], [crank, head], [head, (0.5, y)])
    for width, paint in ((0.11, Paint.INK), (0.05, Paint.LIGHT)):
        for tube in frame:
            pen.line(tube, width, paint)
    pen.line([seat, (seat[0] - 0.05, -0.52)], 0.08)
    pen.blob(
        [(seat[0] - 0.3, -0.58), (seat[0] - 0.05, -0.62), (seat[0] + 0.17, -0.54), (seat[0] - 0.1, -0.46)], Paint.INK
    )
    bar = pen.vary(-0.68, -0.6)
    pen.line([head, (head[0] - 0.04, bar), (head[0] + 0.16, bar - 0.06), (head[0] + 0.3, bar + 0.06)], 0.09)
    pen.ellipse(crank, 0.1, paint=Paint.WHITE)


def draw_train(pen: Pen) -> None:
    """Draw a steam engine from the side: boiler, cab with window, chimney with smoke, wheels."""
    cab, top = pen.vary(-0.3, -0.2), pen.vary(-0.24, -0.16)
    chimney = pen.vary(0.48, 0.58)
    pen.polygon(
        [(chimney - 0.1, top), (chimney - 0.16, top - 0.3), (chimney + 0.16, top - 0.3), (chimney + 0.1, top)],
        Paint.SHADE,
    )
    for x, y, radius in ((-0.02, -0.42, 0.13), (-0.2, -0.6, 0.16)):
        pen.ellipse((chimney + x, y + top + 0.02), radius * pen.vary(0.9, 1.1), paint=Paint.WHITE)
    pen.sector((0.14, top + 0.02), 0.14, 0.16, np.pi, 2 * np.pi, Paint.SHADE)
    pen.box(cab - 0.1, top, 0.84, 0.46, corner=0.12)
    pen.box(-0.84, -0.62, cab, 0.46)
    pen.box(-0.92, -0.76, cab + 0.08, -0.6, Paint.SHADE, corner=0.05)
    pen.box(-0.7, -0.46, cab - 0.14, -0.12, Paint.WHITE, corner=0.04)
    pen.line([(0.3, top + 0.03), (0.3, 0.42)], 0.04)
    pen.polygon([(0.8, 0.4), (0.98, 0.76), (0.6, 0.76)], Paint.SHADE)
    large = pen.vary(0.23, 0.26)
    for x, radius in ((-0.56, large), (-0.04, large), (0.4, 0.17)):
        pen.ellipse((x, 0.82 - radius), radius, paint=Paint.INK)
        pen.ellipse((x, 0.82 - radius), radius * 0.52, paint=Paint.LIGHT, outline=0)
    pen.line([(-0.56, 0.82 - large), (-0.04, 0.82 - large)], 0.07, Paint.WHITE)


def draw_rocket(pen: Pen) -> None:
    """Draw a rocket taking off aslant: pointed hull with a porthole, fins, flame."""
    pen.turn(pen.vary(0.2, 0.5))
    half = pen.vary(0.39, 0.44)
    flame = pen.vary(0.94, 1.08)
    pen.blob([(-0.22, 0.56), (0.22, 0.56), (0.2, 0.76), (0, flame), (-0.2, 0.76)], Paint.WHITE)
    for side in (-1, 1):
        span = pen.vary(0.72, 0.8)
        pen.polygon([(side * half * 0.7, -0.06), (side * span, 0.4), (side * span, 0.84), (side * 0.2, 0.56)])
    hull = [(0, -1.0), (half * 0.62, -0.66), (half, -0.2), (half, 0.2), (0.26, 0.62)]
    pen.blob([*hull, *((-x, y) for x, y in reversed(hull[1:]))], outline=0.04)
    pen.blob(
        [
            (0, -1.0),
            (half * 0.46, -0.76),
            (half * 0.56, -0.66),
            (0, -0.6),
            (-half * 0.56, -0.66),
            (-half * 0.46, -0.76),
        ],
        Paint.SHADE,
    )
    pen.ellipse((0, -0.18), pen.vary(0.15, 0.18), paint=Paint.WHITE, outline=0.06)
    pen.line([(0, 0.28), (0, 0.76)], 0.1, Paint.SHADE)


VEHICLES: tuple[Concept, ...] = (
    Concept("car", "vehicles", draw_car),
    Concept("boat", "vehicles", draw_boat),
    Concept("aeroplane", "vehicles", draw_aeroplane),
    Concept("bicycle", "vehicles", draw_bicycle),
    Concept("train", "vehicles", draw_train),
    Concept("rocket", "vehicles", draw_rocket),
)
