"""A pen that draws anti-aliased shapes: everything a drawn concept needs, on top of Pillow.

Shapes are given in picture coordinates: x to the right, y down, the visible square is [-1, 1] × [-1, 1]. The pen
applies the picture's pose (shift, turn, size, mirror), rounds to whole super-sampled pixels and fills without
anti-aliasing; the picture is then reduced, which smooths every edge and gives the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from numpy.typing import NDArray

Points = Sequence[tuple[float, float]]
_Pixels = list[tuple[int, int]]

OVERSAMPLING = 4


class Paint(Enum):
    """What a shape is filled with; the picture's attributes decide what that looks like."""

    BODY = "body"  # the object's hue with the picture's texture
    SHADE = "shade"  # the object's hue, darker, plain
    LIGHT = "light"  # the object's hue, paler, plain
    INK = "ink"  # near black
    WHITE = "white"  # near white
    GROUND = "ground"  # the background, for holes


@dataclass(frozen=True)
class Pose:
    """How the object lies in the picture: shift in picture units, turn in radians, size as a factor."""

    shift: tuple[float, float] = (0.0, 0.0)
    turn_rad: float = 0.0
    size: float = 1.0
    mirrored: bool = False


class Pen:
    """Draws shapes into one picture.

    Parameters
    ----------
    size
        Width and height of the finished picture in pixels.
    fills
        An RGB image for each paint, at ``size * OVERSAMPLING`` pixels.
    pose
        How the object lies in the picture.
    rng
        Source of the natural variation of shape; concepts draw all their randomness from it.
    """

    def __init__(self, size: int, fills: dict[Paint, Image.Image], pose: Pose, rng: np.random.Generator) -> None:
        self.rng = rng
        self._size = size
        self._fine = size * OVERSAMPLING
        self._fills = fills
        self._image = fills[Paint.GROUND].copy()
        cosine, sine = np.cos(pose.turn_rad), np.sin(pose.turn_rad)
        flip = -1.0 if pose.mirrored else 1.0
        self._matrix = pose.size * np.array([[cosine * flip, -sine], [sine * flip, cosine]])
        self._shift = np.array(pose.shift)
        self._scale = pose.size

    def vary(self, low: float, high: float) -> float:
        """Draw a number between `low` and `high`: the natural variation of a shape."""
        return float(self.rng.uniform(low, high))

    def turn(self, turn_rad: float) -> None:
        """Turn all that is drawn from here on clockwise about the centre, as a key that lies aslant."""
        cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
        self._matrix = self._matrix @ np.array([[cosine, -sine], [sine, cosine]])

    def polygon(self, points: Points, paint: Paint = Paint.BODY, outline: float = 0.035) -> None:
        """Fill the straight-edged shape through some points.

        Parameters
        ----------
        points
            ``[n, 2]``, picture coordinates.
        paint
            What it is filled with.
        outline
            Width of its ink line in picture units; 0 for none.
        """
        self._fill(np.asarray(points, dtype=np.float64), paint, outline)

    def blob(self, points: Points, paint: Paint = Paint.BODY, outline: float = 0.035) -> None:
        """Fill the smooth closed shape through some points (a closed Catmull-Rom spline).

        Parameters
        ----------
        points
            ``[n, 2]``, picture coordinates.
        paint
            What it is filled with.
        outline
            Width of its ink line in picture units; 0 for none.
        """
        self._fill(_spline(np.asarray(points, dtype=np.float64), closed=True), paint, outline)

    def ellipse(
        self,
        centre: tuple[float, float],
        radius_x: float,
        radius_y: float | None = None,
        paint: Paint = Paint.BODY,
        outline: float = 0.035,
        turn_rad: float = 0.0,
    ) -> None:
        """Fill an ellipse or a circle.

        Parameters
        ----------
        centre
            x and y in picture coordinates.
        radius_x, radius_y
            Half of width and height; a circle where `radius_y` is left out.
        paint
            What it is filled with.
        outline
            Width of its ink line in picture units; 0 for none.
        turn_rad
            Angle in radians by which it is turned clockwise.
        """
        points = _arc(centre, radius_x, radius_x if radius_y is None else radius_y, 0.0, 2 * np.pi, turn_rad)
        self._fill(points, paint, outline)

    def sector(
        self,
        centre: tuple[float, float],
        radius_x: float,
        radius_y: float,
        start_rad: float,
        stop_rad: float,
        paint: Paint = Paint.BODY,
        outline: float = 0.035,
    ) -> None:
        """Fill the part of an ellipse between two angles, closed by a chord.

        Parameters
        ----------
        centre
            x and y in picture coordinates.
        radius_x, radius_y
            Half of the ellipse's width and height.
        start_rad, stop_rad
            Angles in radians; 0 points right, and they grow clockwise.
        paint
            What it is filled with.
        outline
            Width of its ink line in picture units; 0 for none.
        """
        self._fill(_arc(centre, radius_x, radius_y, start_rad, stop_rad, 0.0), paint, outline)

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        paint: Paint = Paint.BODY,
        outline: float = 0.035,
        corner: float = 0.0,
    ) -> None:
        """Fill an upright rectangle.

        Parameters
        ----------
        left, top, right, bottom
            Its edges in picture coordinates.
        paint
            What it is filled with.
        outline
            Width of its ink line in picture units; 0 for none.
        corner
            Radius of the corners in picture units; 0 for sharp ones.
        """
        if corner <= 0:
            points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)
        else:
            quarter = np.pi / 2
            points = np.concatenate(
                [
                    _arc((x, y), corner, corner, start, start + quarter, 0.0)[::4]
                    for x, y, start in (
                        (right - corner, top + corner, -quarter),
                        (right - corner, bottom - corner, 0.0),
                        (left + corner, bottom - corner, quarter),
                        (left + corner, top + corner, 2 * quarter),
                    )
                ]
            )
        self._fill(points, paint, outline)

    def line(self, points: Points, width: float = 0.05, paint: Paint = Paint.INK, smooth: bool = True) -> None:
        """Draw a line with round ends through some points.

        Parameters
        ----------
        points
            ``[n, 2]``, picture coordinates.
        width
            Its width in picture units.
        paint
            What it is drawn with.
        smooth
            Whether to bend it into a spline, where there are three points or more.
        """
        path = np.asarray(points, dtype=np.float64)
        self._stroke(_spline(path, closed=False) if smooth and len(path) > 2 else path, width, paint)

    def arc(
        self,
        centre: tuple[float, float],
        radius_x: float,
        radius_y: float,
        start_rad: float,
        stop_rad: float,
        width: float = 0.05,
        paint: Paint = Paint.INK,
    ) -> None:
        """Draw part of an ellipse's edge as a line.

        Parameters
        ----------
        centre
            x and y in picture coordinates.
        radius_x, radius_y
            Half of the ellipse's width and height.
        start_rad, stop_rad
            Angles in radians; 0 points right, and they grow clockwise.
        width
            Width of the line in picture units.
        paint
            What it is drawn with.
        """
        self._stroke(_arc(centre, radius_x, radius_y, start_rad, stop_rad, 0.0), width, paint)

    def finish(self) -> Image.Image:
        """Return the picture, reduced to its final size."""
        return self._image.reduce(OVERSAMPLING)

    def _pixels(self, points: NDArray[np.float64]) -> _Pixels:
        posed = points @ self._matrix.T + self._shift
        return [(x, y) for x, y in np.rint((posed + 1.0) * (self._fine / 2)).astype(np.int64).tolist()]

    def _fill(self, points: NDArray[np.float64], paint: Paint, outline: float) -> None:
        corners = self._pixels(points)
        self._paste(paint, corners, lambda pen, path: pen.polygon(path, fill=255), margin=1)
        if outline > 0:
            self._stroke(np.concatenate([points, points[:1]]), outline, Paint.INK)

    def _stroke(self, points: NDArray[np.float64], width: float, paint: Paint) -> None:
        path = self._pixels(points)
        radius = max(1, int(np.rint(width * self._scale * self._fine / 4)))

        def stroke(pen: ImageDraw.ImageDraw, shifted: _Pixels) -> None:
            pen.line(shifted, fill=255, width=2 * radius + 1)
            for x, y in shifted:
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)

        self._paste(paint, path, stroke, margin=radius + 2)

    def _paste(
        self, paint: Paint, path: _Pixels, draw: Callable[[ImageDraw.ImageDraw, _Pixels], None], margin: int
    ) -> None:
        xs, ys = [x for x, _ in path], [y for _, y in path]
        left, top = max(0, min(xs) - margin), max(0, min(ys) - margin)
        right, bottom = min(self._fine, max(xs) + margin + 1), min(self._fine, max(ys) + margin + 1)
        if left >= right or top >= bottom:
            return
        mask = Image.new("L", (right - left, bottom - top), 0)
        draw(ImageDraw.Draw(mask), [(x - left, y - top) for x, y in path])
        area = (left, top, right, bottom)
        self._image.paste(self._fills[paint].crop(area), area, mask)


def _arc(
    centre: tuple[float, float], radius_x: float, radius_y: float, start_rad: float, stop_rad: float, turn_rad: float
) -> NDArray[np.float64]:
    angles = np.linspace(start_rad, stop_rad, 49)
    points = np.stack([radius_x * np.cos(angles), radius_y * np.sin(angles)], axis=1)
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    turned: NDArray[np.float64] = points @ np.array([[cosine, sine], [-sine, cosine]]) + np.asarray(centre)
    return turned


def _spline(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """Points of the Catmull-Rom spline through `points`, ten a segment."""
    around = (
        np.concatenate([points[-1:], points, points[:2]])
        if closed
        else np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    )
    t = np.linspace(0.0, 1.0, 10, endpoint=False)[:, None]
    curve = []
    for p0, p1, p2, p3 in zip(around[:-3], around[1:-2], around[2:-1], around[3:], strict=True):
        curve.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    if not closed:
        curve.append(points[-1:])
    return np.concatenate(curve)
