"""Colours by hue at equal perceived lightness, so that hue and brightness vary independently.

OKLCh (Björn Ottosson, "A perceptual color space for image processing", 2020): lightness, chroma and hue in degrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LAB_TO_CONE_ROOT = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_CONE_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)

HUE_NAMES = {
    "red": 25.0,
    "orange": 60.0,
    "yellow": 100.0,
    "green": 145.0,
    "cyan": 200.0,
    "blue": 260.0,
    "purple": 305.0,
    "pink": 350.0,
}


def rgb(lightness: float, chroma: float, hue_deg: float) -> tuple[int, int, int]:
    """Return the sRGB colour (0 to 255) of an OKLCh colour, with chroma reduced where sRGB cannot show it.

    Parameters
    ----------
    lightness
        Perceived lightness, 0 to 1.
    chroma
        Distance from grey; 0.4 is more than sRGB can show.
    hue_deg
        Hue in degrees.
    """
    for reduced in np.linspace(chroma, 0.0, 24):
        linear = _linear_rgb(lightness, float(reduced), hue_deg)
        if linear.min() >= -1e-3 and linear.max() <= 1 + 1e-3:
            break
    linear = np.clip(linear, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(v) for v in np.rint(255 * encoded))
    return red, green, blue


def hue_chroma(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the OKLCh hue (degrees) and chroma of every pixel of an RGB image ``[..., 3]``."""
    encoded = image.astype(np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    root = np.cbrt(np.clip(linear @ np.linalg.inv(_CONE_TO_RGB).T, 0, None))
    lab = root @ np.linalg.inv(_LAB_TO_CONE_ROOT).T
    return np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360, np.hypot(lab[..., 1], lab[..., 2])


def object_hue(image: NDArray[np.uint8]) -> float:
    """Return the dominant hue of a picture in degrees: the circular mean over pixels, weighted by chroma cubed.

    The weight lets the strongly coloured object outvote a pale background.
    """
    hue, chroma = hue_chroma(image)
    return _mean_hue(hue, chroma**3)


def ground_hue(image: NDArray[np.uint8]) -> float:
    """Return the hue of a picture's background in degrees: the mean over its edge, weighted by chroma.

    Few objects reach the edge, and none covers most of it.
    """
    hue, chroma = hue_chroma(image)
    edge = np.ones(hue.shape, bool)
    edge[5:-5, 5:-5] = False
    return _mean_hue(hue[edge], chroma[edge])


def _mean_hue(hue_deg: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return the weighted circular mean of hues, in degrees."""
    angle = np.radians(hue_deg)
    return float(np.degrees(np.arctan2((weight * np.sin(angle)).sum(), (weight * np.cos(angle)).sum())) % 360)


def hue_distance(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the angle between hues in degrees, 0 to 180, of the shape that the two broadcast to."""
    difference: NDArray[np.float64] = np.abs(
        (np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64) + 180) % 360 - 180
    )
    return difference


def hue_name(hue_deg: float) -> str:
    """Return the plain-English name of the nearest named hue."""
    return min(HUE_NAMES, key=lambda name: float(hue_distance(HUE_NAMES[name], hue_deg)))


def _linear_rgb(lightness: float, chroma: float, hue_deg: float) -> NDArray[np.float64]:
    angle = np.radians(hue_deg)
    lab = np.array([lightness, chroma * np.cos(angle), chroma * np.sin(angle)])
    linear: NDArray[np.float64] = _CONE_TO_RGB @ (_LAB_TO_CONE_ROOT @ lab) ** 3
    return linear
