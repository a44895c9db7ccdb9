"""Draw the figure of docs/maps.md: faces and houses at the temporal electrodes of a Muse headband.

python docs/images/draw_maps.py run1.csv run2.csv run3.csv run4.csv
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from saving import save_small

from calibration.data.reading import read_trials, read_windows
from calibration.data.targets import make_targets
from calibration.data.trials import Trials
from calibration.maps.attributes import shown_attributes
from calibration.maps.map_recordings import control_p, map_trials
from calibration.maps.maps import AttributeMap
from calibration.report.figure import CHANCE, COLOURS, INK, drawing
from calibration.report.page import p_is
from configs.schema import Config, load_config

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
ELECTRODES = ("TP9", "TP10")
FIRST_S = -0.3
SEARCHED_MS = (120, 260)


def around_onset(recordings: Sequence[str], config: Config, mapped: Trials) -> Trials:
    """Return the trials that were mapped, from before the picture on."""
    window = config.window.model_copy(update={"start_s": FIRST_S, "stop_s": 0.6, "baseline_s": None})
    around = read_trials(recordings, config.model_copy(update={"window": window}))
    clean = {
        (recording, round(onset, 3))
        for recording, onset, flags in zip(mapped.recordings, mapped.onsets, mapped.flags, strict=True)
        if not flags
    }
    kept = [(k, round(onset, 3)) in clean for k, onset in zip(around.recordings, around.onsets, strict=True)]
    return around.take(np.array(kept))


def mean_and_error(samples: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean over trials ``[times]`` and its standard error."""
    return samples.mean(axis=0, dtype=np.float64), samples.std(axis=0, ddof=1, dtype=np.float64) / len(samples) ** 0.5


def draw(axes: Axes, around: Trials, found: AttributeMap, times_s: NDArray[np.float64], electrode: str) -> None:
    """Draw both classes, their difference, and when it is significant."""
    channel = around.spec.channels.index(electrode)
    at = 1e3 * (around.times_s - around.delay_s)
    curves = {}
    for name, colour in (("house", COLOURS[0]), ("face", COLOURS[1])):
        curves[name] = mean_and_error(around.samples[around.names == name][:, :, channel])
        axes.plot(at, curves[name][0], color=colour, linewidth=1.2, label=name)
    difference = curves["face"][0] - curves["house"][0]
    band = 1.96 * np.hypot(curves["face"][1], curves["house"][1])
    axes.fill_between(at, difference - band, difference + band, color=INK, alpha=0.15, linewidth=0)
    axes.plot(at, difference, color=INK, linewidth=2, label="face − house")
    sure = found.test.significant[:, channel]
    level = -4.6
    axes.plot(1e3 * times_s[sure], np.full(int(sure.sum()), level), "s", color=INK, markersize=3)
    inside = np.flatnonzero((at >= SEARCHED_MS[0]) & (at <= SEARCHED_MS[1]))
    lowest = int(inside[difference[inside].argmin()])
    told = f"−{-difference[lowest]:.1f} µV at {at[lowest]:.0f} ms"
    axes.annotate(told, (at[lowest], difference[lowest]), (90, -3.9), fontsize=8, arrowprops={"arrowstyle": "-"})
    axes.axhline(0, color=CHANCE, linewidth=0.8)
    axes.axvline(0, color=CHANCE, linewidth=1, linestyle=(0, (2, 2)))
    axes.set(xlabel="ms after onset", xlim=(at[0], 600), ylim=(-5, 5.5))
    axes.set_title(electrode, loc="left", fontsize=9)


def main(recordings: Sequence[str]) -> None:
    """Map the recordings, test the time before onset as well, and draw."""
    config = load_config("muse_n170")
    windows = read_windows(recordings, config)
    trials = windows.trials
    targets = make_targets(config, trials.names)
    attributes = shown_attributes(config, trials.names)
    maps = map_trials(trials, targets, attributes, config)
    earlier = control_p(windows.pre_stimulus, targets, attributes, config)["class"]
    found, around = maps.attributes[0], around_onset(recordings, config, trials)
    caption = (
        f"One person, Muse headband, {maps.n_trials} trials ({found.counts[0]} houses, {found.counts[1]} faces), "
        f"0.3 to 20 Hz, filter delay taken out. Band: 95 % interval of the difference of means. Squares: cluster "
        f"permutation test over 4 electrodes × 0 to 600 ms, {found.test.name}, {found.test.permutations} permutations, "
        f"{p_is(found.test.p)}. The same test on 700 ms before onset: {p_is(earlier)}."
    )
    with drawing("maps-n170", "Faces and houses behind the ears", caption, 8.6, 3.9) as (figure, made):
        for place, (axes, electrode) in enumerate(zip(figure.subplots(1, 2, sharey=True), ELECTRODES, strict=True)):
            draw(axes, around, found, maps.times_s, electrode)
            if not place:
                axes.set_ylabel("µV")
                axes.legend(frameon=False, fontsize=8, loc="upper left")
    save_small(made.png, HERE / "maps-n170.png")


if __name__ == "__main__":
    main(sys.argv[1:])
