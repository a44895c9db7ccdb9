"""A whole session: whether the confidence is true, whether repeats help as they should, and what each stage takes.

The first part decodes a simulated participant as fast as it is computed: 200 pictures that the map never saw, eight
looks each, twenty candidates at a time; and scores another recording of the same pictures as calibration scores one.
The second runs a live session with display, renderer, recorder and broker.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import machine, print_table
from calibration.data.reading import Collector
from calibration.data.targets import make_targets
from calibration.data.trials import Trials
from calibration.evaluate import compared
from calibration.fit import fit_trials
from calibration.scores.confidence import bins, calibration_error
from calibration.scores.summary import summarise
from configs.schema import Config, load_config
from perceptogram.console import number
from perceptogram.session import Session
from realtime import session
from realtime.decoding.bundle import Bundle
from realtime.decoding.evidence import Percept, PictureEvidence
from realtime.mqtt.embedded_broker import EmbeddedBroker
from realtime.recording.latency_log import read_percepts, trial_times
from realtime.recording.latency_log import summary as summarise_ledger
from realtime.sources import lsl_config
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.offline import OfflineParticipant
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.pictures import choose_pictures, open_pictures

N_CALIBRATION = 450
CANDIDATES = 20
REPEATS = 8
EVERY_S = 0.2
ORDERS = 20
"""In how many orders each picture's looks are taken, so that chance in their order weighs little."""
SURE = 0.9
PORT = 21883
AT_ONCE = 3
"""Pictures asked for before their windows have come, so that the next one follows at the stimulus window's pace."""


@dataclass(frozen=True)
class Looks:
    """What one picture's looks came to, one after another.

    Attributes
    ----------
    confidence, right
        ``[looks]``: of the percept after each, and whether its nearest picture was the one shown.
    embeddings
        ``[looks, dims]``: the mean after each.
    again
        `confidence` and `right`, ``[orders, looks]`` each, with the same looks in other orders.
    pre_stimulus
        ``[dims]``: mean of the windows before the picture's onsets.
    offline
        ``[looks, dims]``: single trials of another recording, by the same map.
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    embeddings: NDArray[np.float32]
    again: tuple[NDArray[np.float64], NDArray[np.bool_]]
    pre_stimulus: NDArray[np.float32]
    offline: NDArray[np.floating[Any]]


def run(quick: bool = False) -> dict[str, Any]:
    """Measure both parts; `quick` takes 40 pictures and half a minute in place of 200 and two minutes."""
    config = load_config("demo")
    participant = SimulationSettings(seed=0)
    bundle = _calibrate(config, participant)
    groups = 2 if quick else 10
    looks: dict[str, Looks] = {}
    by_group: list[list[str]] = []
    unseen = open_pictures(config.pictures, "test")
    names = choose_pictures(unseen, groups * CANDIDATES, seed=1)
    for day in range(groups):
        group = list(names[day * CANDIDATES : (day + 1) * CANDIDATES])
        looks |= _look(config, bundle, replace(participant, session=day + 1), group)
        by_group.append(group)
    result = _evidence(looks, by_group, bundle) | _live(config, bundle, participant, 30.0 if quick else 120.0)
    result["machine"] = machine()
    _print(result)
    return result


def _calibrate(config: Config, participant: SimulationSettings) -> Bundle:
    known = open_pictures(config.pictures, "calibration")
    shown = choose_pictures(known, N_CALIBRATION, seed=0)
    # Every third picture comes twice and some four times, so that confidence is learned for repeats too.
    names = [*shown, *shown[: N_CALIBRATION // 3], *shown[: N_CALIBRATION // 6], *shown[: N_CALIBRATION // 6]]
    order = np.random.default_rng(0).permutation(len(names))
    trials = _trials(config, OfflineParticipant(known, [names[k] for k in order], EVERY_S, participant))
    return fit_trials(trials, make_targets(config, np.asarray(trials.names)), config).bundle


def _trials(config: Config, source: OfflineParticipant) -> Trials:
    """Cut all windows of a recording, as a calibration does."""
    collector = Collector(config, source.spec)
    for item in source.events():
        list(collector.push(item))
    return collector.take()


def _look(config: Config, bundle: Bundle, participant: SimulationSettings, group: Sequence[str]) -> dict[str, Looks]:
    """Decode a session in which each picture of `group` is shown eight times.

    In an order in which a picture may follow itself: the window before an onset holds the answers to the pictures
    before, and where these are never the same one the control would lie below chance.
    """
    pictures = open_pictures(config.pictures, "test")
    rng = np.random.default_rng(participant.session)
    names = rng.permutation(np.repeat(np.array(group), REPEATS)).tolist()
    source = OfflineParticipant(pictures, names, EVERY_S, participant)
    only = bundle.only(set(group))
    percepts: dict[str, list[Percept]] = {name: [] for name in group}
    singles: dict[str, list[NDArray[np.float32]]] = {name: [] for name in group}
    earlier: dict[str, list[NDArray[np.float32]]] = {name: [] for name in group}
    for event in session.Session(config, only, source, None, lambda: 0.0).run():
        if isinstance(event, session.Decoded) and event.percept.picture is not None:
            percepts[event.percept.picture].append(event.percept)
            singles[event.percept.picture].append(event.single)
        elif isinstance(event, session.PreStimulusDecoded) and event.marker.picture is not None:
            earlier[event.marker.picture].append(event.single)
    another_day = replace(participant, session=1000 + participant.session)
    again = _trials(config, OfflineParticipant(pictures, names, EVERY_S, another_day))
    offline = compared(bundle, again.samples)
    return {
        name: Looks(
            np.array([percept.confidence for percept in percepts[name]], dtype=np.float64),
            np.array([percept.neighbours[0].name == name for percept in percepts[name]]),
            np.stack([percept.compared for percept in percepts[name]]),
            _reordered(only, name, singles[name], rng),
            np.mean(earlier[name], axis=0),
            offline[again.names == name],
        )
        for name in group
    }


def _reordered(
    bundle: Bundle, name: str, singles: Sequence[NDArray[np.float32]], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidence and rightness after each look, had the looks come in other orders."""
    orders = []
    for _ in range(ORDERS):
        evidence = PictureEvidence(bundle.candidates, bundle.confidence, neighbours=1)
        orders.append([evidence.add(trial, name, singles[trial]) for trial in rng.permutation(len(singles)).tolist()])
    said = np.array([[percept.confidence for percept in order] for order in orders], dtype=np.float64)
    return said, np.array([[percept.neighbours[0].name == name for percept in order] for order in orders])


def _evidence(looks: dict[str, Looks], groups: list[list[str]], bundle: Bundle) -> dict[str, Any]:
    said = np.concatenate([one.confidence for one in looks.values()])
    right = np.concatenate([one.right for one in looks.values()])
    curve = bins(said, right)
    names = np.array([name for group in groups for name in group])
    folds = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    two_way, top1, offline = {}, {}, {}
    for count in (1, 2, 4, 8):
        live = np.stack([looks[n].embeddings[count - 1] for n in names])
        recorded = np.stack([looks[n].offline[:count].mean(axis=0) for n in names])
        found, other = (summarise(one, names, folds, bundle.candidates, 0) for one in (live, recorded))
        two_way[str(count)] = {"two_way": found["two_way"], "interval": found["two_way_interval"]}
        offline[str(count)] = {"two_way": other["two_way"], "interval": other["two_way_interval"]}
        top1[str(count)] = found["top1"]
    control = summarise(np.stack([looks[n].pre_stimulus for n in names]), names, folds, bundle.candidates, 5000)
    return {
        "n_pictures": len(looks),
        "calibration_error": calibration_error(curve),
        "reliability_curve": curve,
        "two_way_by_repeats": two_way,
        "top1_by_repeats": top1,
        "offline_two_way_by_repeats": offline,
        "pre_stimulus_two_way": control["two_way"],
        "pre_stimulus_interval": control["two_way_interval"],
        "pre_stimulus_p": control["p"],
        "closed_loop": stopping(list(looks.values())),
    }


def stopping(looks: Sequence[Looks]) -> list[dict[str, float | None]]:
    """Compare stopping at a confidence with a fixed number of looks that is right as often, over all orders of looks.

    Returns
    -------
    For each confidence: mean looks and accuracy of stopping there, and the looks that a fixed schedule takes to be as
    accurate, by linear interpolation between whole numbers; None where it never is within eight looks.
    """
    said = np.concatenate([one.again[0] for one in looks])
    right = np.concatenate([one.again[1] for one in looks])
    fixed = right.mean(axis=0)
    rows: list[dict[str, float | None]] = []
    for sure in (0.5, 0.7, 0.8, SURE, 0.95):
        enough = said >= sure
        enough[:, -1] = True  # there are no more looks
        stops = enough.argmax(axis=1)
        accuracy = float(right[np.arange(len(stops)), stops].mean())
        reached = np.flatnonzero(fixed >= accuracy)
        equal = None
        if len(reached):
            after = int(reached[0])
            before = fixed[after - 1] if after else 0.0
            equal = float(after + (accuracy - before) / (fixed[after] - before)) if after else 1.0
        rows.append({"sure": sure, "looks": float(stops.mean()) + 1, "accuracy": accuracy, "fixed_looks": equal})
    return rows


def _live(config: Config, bundle: Bundle, participant: SimulationSettings, seconds: float) -> dict[str, Any]:
    """Show pictures for `seconds` in a session with display, renderer, recorder and broker, and read its ledger."""
    with tempfile.TemporaryDirectory() as folder:
        lsl_config.use(lsl_config.loopback(), Path(folder) / "lsl_api.cfg")
        stimulus = config.stimulus.model_copy(update={"onset_to_onset_s": 0.6})
        config = config.model_copy(update={"stimulus": stimulus})
        stream = SimulatedStream(participant, config.pictures, config.markers)
        broker = EmbeddedBroker(PORT).start()
        child = start_simulated(stream)
        try:
            out = Path(folder) / "session"
            summary = asyncio.run(_show_for(config, bundle, out, seconds))
        finally:
            child.stop()
            broker.stop()
        stages = summarise_ledger(trial_times(read_percepts(out / "percepts.jsonl")))
    return {
        "arrival_to_embedding_p99_ms": stages["last_sample_to_embedding_us"]["p99"] / 1e3,
        "stages": stages,
        "runs_first": summary["runs_first"],
        "lost_samples": summary["lost_samples"],
        "live_trials": summary["n_trials"],
        "live_refused": summary["refused"],
        "live_two_way": summary["two_way"],
    }


async def _show_for(config: Config, bundle: Bundle, out: Path, seconds: float) -> dict[str, Any]:
    pictures = choose_pictures(open_pictures(config.pictures, "test"), CANDIDATES, seed=1)
    live = Session(
        config,
        bundle,
        out=out,
        show_pictures=True,
        headless=True,
        window=True,
        candidates=pictures,
        mqtt=f"mqtt://127.0.0.1:{PORT}",
    )
    loop = asyncio.get_running_loop()
    async with live as opened:
        await opened.settled()
        ends, count = loop.time() + seconds, 0
        asked: set[asyncio.Task[Percept | None]] = set()
        while loop.time() < ends:
            asked.add(asyncio.create_task(opened.show(pictures[count % len(pictures)])))
            count += 1
            if len(asked) == AT_ONCE:
                done, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
        await asyncio.gather(*asked)
    return live.summary


def _print(result: dict[str, Any]) -> None:
    print_table(
        f"simulated participant, {result['n_pictures']} unseen pictures, {CANDIDATES} candidates: repeats",
        ("looks", "two-way", "interval", "offline", "interval", "top-1"),
        [
            (
                count,
                f"{row['two_way']:.3f}",
                "{:.3f} to {:.3f}".format(*row["interval"]),
                f"{result['offline_two_way_by_repeats'][count]['two_way']:.3f}",
                "{:.3f} to {:.3f}".format(*result["offline_two_way_by_repeats"][count]["interval"]),
                f"{result['top1_by_repeats'][count]:.3f}",
            )
            for count, row in result["two_way_by_repeats"].items()
        ]
        + [
            (
                "pre-stimulus",
                f"{result['pre_stimulus_two_way']:.3f}",
                "{:.3f} to {:.3f}".format(*result["pre_stimulus_interval"]),
                "",
                "",
                "",
            )
        ],
    )
    print_table(
        f"stop when sure (calibration error {result['calibration_error']:.3f})",
        ("stop at", "mean looks", "right", "fixed schedule for the same"),
        [
            (f"{row['sure']:.0%}", f"{row['looks']:.2f}", f"{row['accuracy']:.3f}", number(row["fixed_looks"]))
            for row in result["closed_loop"]
        ],
    )
    print_table(
        f"live with display, renderer, recorder and broker: {result['live_trials']} trials, "
        f"{result['lost_samples']} samples lost, {'' if result['runs_first'] else 'not '}ahead of other programs",
        ("stage", "p50", "p95", "p99", "n"),
        [
            (name, f"{row['p50']:.1f}", f"{row['p95']:.1f}", f"{row['p99']:.1f}", row["n"])
            for name, row in result["stages"].items()
        ],
    )
