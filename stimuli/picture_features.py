"""What is measured on a picture's pixels: luminance and its statistics, spatial frequencies, texture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Weights of red, green and blue (Rec. 709)."""
COARSEST = 4
"""Cycles a picture above which energy counts as texture."""


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the luminance, 0 to 1, ``[height, width]``, of an RGB picture ``[height, width, 3]``."""
    grey: NDArray[np.float64] = image @ LUMINANCE / 255.0
    return grey


def image_statistics(image: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return mean luminance, its standard deviation, and the mean absolute step between neighbours, each in 0 to 1."""
    grey = luminance(image)
    steps = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return float(grey.mean()), float(grey.std()), float(steps / 2)


def spectrum(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the amplitude of each spatial frequency of the luminance, and its cycles a picture down and across.

    Each is ``[height, width]``. A Hann window takes the picture's edges out, which are no part of it.
    """
    grey = luminance(image)
    window = np.hanning(len(grey))[:, None] * np.hanning(grey.shape[1])
    amplitude = np.abs(np.fft.fft2((grey - grey.mean()) * window))
    down, across = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in grey.shape), indexing="ij")
    return amplitude, down, across


def texture_energy(image: NDArray[np.uint8]) -> float:
    """Return the logarithm of the mean amplitude of luminance above `COARSEST` cycles a picture: fine structure.

    The measure of Fei et al. (arXiv 2404.01250), with shading and outlines of the whole left out.
    """
    amplitude, down, across = spectrum(image)
    return float(np.log10(amplitude[np.hypot(down, across) > COARSEST].mean() + 1e-6))
