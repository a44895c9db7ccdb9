"""The constants of every few-step sampler, computed before the first picture is asked for.

All samplers here are affine in the latent, the network's output, the last two estimates of the clean picture and
fresh noise, so a step is eight numbers and the hot loop knows no scheduler. Latents are kept at unit variance
(``sqrt(a) * clean + sqrt(1 - a) * noise``) for all of them; where a sampler is published in units of the noise level
(Euler), the change of units is folded into its constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from configs.render import MAX_STEPS, TRAINING_STEPS

SamplerName = Literal["euler", "euler-ancestral", "lcm", "tcd", "dpm++", "unipc"]
Prediction = Literal["epsilon", "v"]

_DISTILLED_STEPS = 50  # length of the grid on which consistency models are distilled
_SIGMA_DATA = 0.5
_TIMESTEP_SCALING = 10.0


@dataclass(frozen=True, eq=False)
class Training:
    """What a network was trained on: to say what, and the variance left of the picture after each time, ``[1000]``."""

    prediction: Prediction
    kept: NDArray[np.float64]

    def picture(self, kept: float) -> tuple[float, float]:
        """Return what the clean picture is in the latent and in the network's output, where `kept` is left of it."""
        signal, noise = math.sqrt(kept), math.sqrt(1 - kept)
        return (1 / signal, -noise / signal) if self.prediction == "epsilon" else (signal, -noise)


@dataclass(frozen=True)
class Step:
    """One denoising step.

    The picture is ``picture_latent * latent + picture_output * output``, the next latent is ``next_latent * latent +
    next_picture * picture + next_previous * previous picture + next_before * the one before + next_noise * noise``.
    Of the picture's variance `kept` is left in the latent that the step starts from.
    """

    timestep: int
    kept: float
    picture_latent: float
    picture_output: float
    next_latent: float = 0.0
    next_picture: float = 1.0
    next_previous: float = 0.0
    next_before: float = 0.0
    next_noise: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """All steps of one picture; the first latent is `start` times unit noise."""

    start: float
    steps: tuple[Step, ...]

    @property
    def uses_noise(self) -> bool:
        """Whether fresh noise is mixed in between steps."""
        return any(step.next_noise for step in self.steps)

    @property
    def uses_before(self) -> bool:
        """Whether a step looks at the picture of two steps ago."""
        return any(step.next_before for step in self.steps)


def make_schedule(
    sampler: SamplerName,
    steps: int,
    prediction: Prediction,
    eta: float = 1.0,
    timesteps: Sequence[int] | None = None,
    fractions: NDArray[np.float64] | None = None,
) -> Schedule:
    """Return the constants of `sampler` for `steps` steps.

    Parameters
    ----------
    sampler
        Which method: see `euler`, `lcm`, `tcd`, `dpm_solver`, `uni_pc`.
    steps
        How many times the network runs for a picture.
    prediction
        What the network says: the noise, or the velocity ``sqrt(a) * noise - sqrt(1 - a) * clean``.
    eta
        How much of the noise of each step of `tcd` is fresh, 0 to 1.
    timesteps
        Training times of the steps, from noise to picture, where the weights were distilled for others than the
        sampler's own.
    fractions
        Variance left of the picture after each training time, ``[1000]``; Stable Diffusion's when left out.

    Raises
    ------
    ValueError
        If there are too many steps, if the times are not as many, do not fall or were not trained, or if `eta` is not
        within 0 and 1.
    """
    if not 1 <= steps <= MAX_STEPS:
        msg = f"{steps} steps asked of the {sampler} sampler: it takes 1 to {MAX_STEPS}"
        raise ValueError(msg)
    if not 0 <= eta <= 1:
        msg = f"eta is {eta}: it must lie within 0 and 1"
        raise ValueError(msg)
    if timesteps is not None:
        _check_timesteps(timesteps, steps)
        times = np.array(timesteps, np.int64)
    else:
        times = distilled_timesteps(steps) if sampler in ("lcm", "tcd") else trailing_timesteps(steps)
    trained = Training(prediction, signal_fractions() if fractions is None else fractions)
    match sampler:
        case "euler":
            return euler(times, trained, ancestral=False)
        case "euler-ancestral":
            return euler(times, trained, ancestral=True)
        case "lcm":
            return lcm(times, trained)
        case "tcd":
            return tcd(times, trained, eta)
        case "dpm++":
            return dpm_solver(times, trained)
        case "unipc":
            return uni_pc(times, trained)


def euler(times: NDArray[np.int64], trained: Training, *, ancestral: bool) -> Schedule:
    """Return Euler steps (Karras et al., "Elucidating the Design Space", 2022), which SDXL-Lightning was distilled for.

    Ancestral ones, which SDXL-Turbo was distilled for, go further down and come back up with fresh noise.

    Parameters
    ----------
    times
        Training times of the steps ``[steps]``, falling.
    trained
        What the network was trained on.
    ancestral
        Whether each step but the last adds fresh noise.
    """
    kept = trained.kept[times]
    sigmas = [*np.sqrt((1 - kept) / kept), 0.0]
    made = []
    for index, time in enumerate(times):
        sigma, onward = float(sigmas[index]), float(sigmas[index + 1])
        up = onward * math.sqrt(max(sigma**2 - onward**2, 0.0)) / sigma if ancestral else 0.0
        down = math.sqrt(max(onward**2 - up**2, 0.0)) / sigma
        unit, next_unit = math.sqrt(1 + sigma**2), 1 / math.sqrt(1 + onward**2)
        made.append(
            Step(
                int(time),
                float(kept[index]),
                *trained.picture(float(kept[index])),
                next_latent=next_unit * unit * down,
                next_picture=next_unit * (1 - down),
                next_noise=next_unit * up,
            )
        )
    largest = float(sigmas[0])
    return Schedule(largest / math.sqrt(1 + largest**2), tuple(made))


def lcm(times: NDArray[np.int64], trained: Training) -> Schedule:
    """Consistency steps (Luo et al., "Latent Consistency Models", 2023): to a clean picture, noise again, and so on."""
    steps, kept = len(times), trained.kept
    made = []
    for index, time in enumerate(times):
        scaled = _TIMESTEP_SCALING * time
        skip = _SIGMA_DATA**2 / (scaled**2 + _SIGMA_DATA**2)
        out = scaled / math.hypot(scaled, _SIGMA_DATA)
        latent, output = trained.picture(float(kept[time]))
        last = index == steps - 1
        after = 1.0 if last else float(kept[times[index + 1]])
        made.append(
            Step(
                int(time),
                float(kept[time]),
                skip + out * latent,
                out * output,
                next_picture=math.sqrt(after),
                next_noise=math.sqrt(1 - after),
            )
        )
    return Schedule(1.0, tuple(made))


def tcd(times: NDArray[np.int64], trained: Training, eta: float) -> Schedule:
    """Return trajectory consistency steps (Zheng et al., "Trajectory Consistency Distillation", 2024).

    The network jumps to a time between, from which fresh noise leads to the next; the last jump ends at the first
    training time, which is not quite clean, and its result is the picture.

    Parameters
    ----------
    times
        Training times of the steps ``[steps]``, falling.
    trained
        What the network was trained on.
    eta
        Share of each step's noise that is fresh, 0 to 1; 0 is deterministic.
    """
    steps, kept = len(times), trained.kept
    made = []
    for index, time in enumerate(times):
        now = float(kept[time])
        latent, output = trained.picture(now)
        after = int(times[index + 1]) if index < steps - 1 else 0
        reached = float(kept[math.floor((1 - eta) * after)])
        # noise = (latent - sqrt(now) * picture) / sqrt(1 - now), kept at the variance of the time that is reached
        ratio = math.sqrt((1 - reached) / (1 - now))
        to_latent, to_picture = ratio, math.sqrt(reached) - ratio * math.sqrt(now)
        if index == steps - 1:
            made.append(Step(int(time), now, to_latent + to_picture * latent, to_picture * output))
            continue
        shrink = math.sqrt(float(kept[after]) / reached) if eta > 0 else 1.0
        made.append(
            Step(
                int(time),
                now,
                latent,
                output,
                next_latent=shrink * to_latent,
                next_picture=shrink * to_picture,
                next_noise=math.sqrt(max(1 - shrink**2, 0.0)),
            )
        )
    return Schedule(1.0, tuple(made))


def dpm_solver(times: NDArray[np.int64], trained: Training) -> Schedule:
    """DPM-Solver++(2M) (Lu et al., 2022): two-step, deterministic; the first and last steps are of first order."""
    steps = len(times)
    kept = [*(float(fraction) for fraction in trained.kept[times]), 1.0]
    made = []
    for index, time in enumerate(times):
        now, after = kept[index], kept[index + 1]
        picture = trained.picture(now)
        if index == steps - 1:
            made.append(Step(int(time), now, *picture))
            continue
        width = _log_ratio(after) - _log_ratio(now)
        gain = -math.sqrt(after) * math.expm1(-width)
        extrapolation = 0.0 if index == 0 else 0.5 * gain * width / (_log_ratio(now) - _log_ratio(kept[index - 1]))
        made.append(
            Step(
                int(time),
                now,
                *picture,
                next_latent=math.sqrt((1 - after) / (1 - now)),
                next_picture=gain + extrapolation,
                next_previous=-extrapolation,
            )
        )
    return Schedule(1.0, tuple(made))


def uni_pc(times: NDArray[np.int64], trained: Training) -> Schedule:
    """UniPC-2 with the B2 kernel (Zhao et al., 2023): each step first corrects the latent it starts from.

    The correction is a sum of the pictures of this step and the two before, so it is folded into the way onward and
    costs no call of the network. The first and the last steps are of first order.
    """
    steps = len(times)
    kept = [*(float(fraction) for fraction in trained.kept[times]), 1.0]
    ratios = [_log_ratio(fraction) for fraction in kept[:-1]]
    made = []
    for index, time in enumerate(times):
        now, after = kept[index], kept[index + 1]
        picture = trained.picture(now)
        if index == steps - 1:
            made.append(Step(int(time), now, *picture))
            continue
        shrink = math.sqrt((1 - after) / (1 - now))
        width = ratios[index + 1] - ratios[index]
        gain = -math.sqrt(after) * math.expm1(-width)
        # first order: the last of all steps is one too, hence a second order only where another step follows
        second = 0.5 * gain * width / (ratios[index] - ratios[index - 1]) if 0 < index < steps - 1 else 0.0
        own, previous, before = _correction(kept, ratios, index)
        made.append(
            Step(
                int(time),
                now,
                *picture,
                next_latent=shrink,
                next_picture=gain + second + shrink * own,
                next_previous=-second + shrink * previous,
                next_before=shrink * before,
            )
        )
    return Schedule(1.0, tuple(made))


def _correction(kept: list[float], ratios: list[float], index: int) -> tuple[float, float, float]:
    """Return what UniPC adds to the latent of a step: weights of its picture and the two before."""
    if index == 0:
        return 0.0, 0.0, 0.0
    width = ratios[index] - ratios[index - 1]
    kernel = math.expm1(-width)
    gain = -math.sqrt(kept[index]) * kernel
    if index == 1:
        return 0.5 * gain, -0.5 * gain, 0.0
    # two conditions of order for the slopes to the picture before and to this one, which lie at `back` and at 1
    back = (ratios[index - 2] - ratios[index - 1]) / width
    phi = kernel / -width - 1
    first, twice = phi / kernel, 2 * (phi / -width - 0.5) / kernel
    at_back = (first - twice) / (1 - back)
    at_one = first - at_back
    # less the slope that the prediction already used
    change = gain * (at_back - 0.5) / back
    return gain * at_one, -gain * at_one - change, change


def signal_fractions() -> NDArray[np.float64]:
    """Return the variance left of the picture after each training time, ``[1000]``: Stable Diffusion 1, 2 and XL."""
    betas = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), TRAINING_STEPS) ** 2
    fractions: NDArray[np.float64] = np.cumprod(1 - betas, dtype=np.float64)
    return fractions


def linear_signal_fractions() -> NDArray[np.float64]:
    """Return the same for Kandinsky 2, ``[1000]``: the same ends, but variances that grow evenly."""
    fractions: NDArray[np.float64] = np.cumprod(1 - np.linspace(0.00085, 0.012, TRAINING_STEPS), dtype=np.float64)
    return fractions


def cosine_signal_fractions() -> NDArray[np.float64]:
    """Return the same for the noise put on image embeddings by unCLIP, ``[1000]`` (Nichol and Dhariwal, 2021)."""
    times = np.arange(TRAINING_STEPS + 1) / TRAINING_STEPS
    bar = np.cos((times + 0.008) / 1.008 * math.pi / 2) ** 2
    fractions: NDArray[np.float64] = np.cumprod(1 - np.minimum(1 - bar[1:] / bar[:-1], 0.999), dtype=np.float64)
    return fractions


def trailing_timesteps(steps: int) -> NDArray[np.int64]:
    """Return evenly spaced training times that start with the last, pure noise: ``[999, 749, 499, 249]`` for 4.

    With any other spacing a picture of few steps starts from a noise level that it does not have (Lin et al., "Common
    Diffusion Noise Schedules and Sample Steps are Flawed", 2024).
    """
    times: NDArray[np.int64] = np.round(np.arange(TRAINING_STEPS, 0, -TRAINING_STEPS / steps)).astype(np.int64) - 1
    return times


def distilled_timesteps(steps: int) -> NDArray[np.int64]:
    """Return training times on the grid of distilled models: ``[999, 759, 499, 259]`` for 4."""
    stride = TRAINING_STEPS // _DISTILLED_STEPS
    grid = np.arange(_DISTILLED_STEPS, 0, -1) * stride - 1
    times: NDArray[np.int64] = grid[np.floor(np.linspace(0, len(grid), steps, endpoint=False)).astype(np.int64)]
    return times


def _check_timesteps(timesteps: Sequence[int], steps: int) -> None:
    if len(timesteps) != steps:
        msg = f"render.timesteps are those of {len(timesteps)} steps, and {steps} are asked for"
        raise ValueError(msg)
    if not all(0 <= time < TRAINING_STEPS for time in timesteps) or sorted(set(timesteps))[::-1] != list(timesteps):
        msg = f"render.timesteps must fall, within {TRAINING_STEPS - 1} and 0 (given: {list(timesteps)})"
        raise ValueError(msg)


def _log_ratio(kept: float) -> float:
    """Return the logarithm of the signal-to-noise ratio of amplitudes."""
    return 0.5 * (math.log(kept) - math.log1p(-kept))
