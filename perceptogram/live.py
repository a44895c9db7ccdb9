"""Run a session to its end, keep what it says, and score it where the truth is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptogram.session_folder import SessionFolder
from realtime.axis import Fault, Hole
from realtime.bundle import Bundle
from realtime.epochs import Refused, Retracted
from realtime.ledger import summary as summarise_ledger
from realtime.rendering.frames import Frame
from realtime.session import Decoded, Session, SessionEvent, ShamDecoded
from realtime.sources.base import Notice

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERMUTATIONS = 5000


@dataclass
class LiveResult:
    """What a session said.

    Attributes
    ----------
    decoded
        Every percept by trial, without the samples of its window; retracted ones are taken out.
    shams
        Embeddings of the windows before the stimuli, with what was shown after them.
    frames
        The last final frame by trial.
    refused, retracted
        Trials without a percept, with the reason.
    holes, faults, notices
        What was wrong with the stream.
    ledger
        Each trial's times by stage.
    """

    decoded: dict[int, Decoded] = field(default_factory=dict)
    shams: list[tuple[str, NDArray[np.float32]]] = field(default_factory=list)
    frames: dict[int, Frame] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    retracted: list[Retracted] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    ledger: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def lost_samples(self) -> int:
        """Samples that never came."""
        return sum(hole.lost for hole in self.holes)

    def latest(self) -> dict[str, Decoded]:
        """Return the last percept of each picture, all its repeats together."""
        return {event.percept.picture: event for event in self.decoded.values() if event.percept.picture is not None}


def follow(
    session: Session,
    folder: SessionFolder | None,
    observe: Sequence[Callable[[SessionEvent], None]] = (),
    paint_all: bool = False,
) -> LiveResult:
    """Run `session` until its source ends and return what it said.

    Parameters
    ----------
    folder
        Where percepts and pictures are written.
    observe
        Called with every event as it comes; a display, a progress bar, something that ends the source.
    paint_all
        Paint, after the end, every picture's last percept that had no time to be painted while the session ran.
    """
    result = LiveResult()
    for event in session.run():
        _take(result, event, folder, session)
        for look in observe:
            look(event)
    if paint_all:
        for latest in result.latest().values():
            if latest.percept.trial not in result.frames and session.paint(latest.percept):
                for frame in session.finish_rendering():
                    _take(result, frame, folder, session)
                    for look in observe:
                        look(frame)
    return result


def _take(result: LiveResult, event: SessionEvent, folder: SessionFolder | None, session: Session) -> None:
    match event:
        case Decoded(percept):
            # An hour of windows would fill the memory.
            result.decoded[percept.trial] = replace(
                event, epoch=replace(event.epoch, samples=event.epoch.samples[:0].copy())
            )
            result.ledger[percept.trial] = dict(percept.ledger)
            if folder is not None:
                folder.decoded(event, painted="requested" in percept.ledger)
        case ShamDecoded():
            shown = session.shown(event.marker)
            if shown is not None:
                result.shams.append((shown, event.single))
        case Frame():
            result.ledger.setdefault(event.trial, {}).update(event.ledger)
            if event.final:
                result.frames[event.trial] = event
            if folder is not None:
                folder.frame(event)
        case Refused():
            result.refused.append(event)
            if folder is not None:
                folder.not_decoded(event)
        case Retracted(trial):
            result.decoded.pop(trial, None)
            result.retracted.append(event)
            if folder is not None:
                folder.not_decoded(event)
        case Hole():
            result.holes.append(event)
        case Fault():
            result.faults.append(event)
        case Notice():
            result.notices.append(event)


def summarise(result: LiveResult, bundle: Bundle, seed: int = 0) -> dict[str, Any]:
    """Return counts, scores against their chance levels and delays, ready for ``summary.json``.

    Scores stand for single trials and for all repeats of a picture together; the baseline is the same map on the
    windows before the stimuli. A score that cannot be computed is None.
    """
    singles = [(event.percept.picture, event.single) for event in result.decoded.values() if event.percept.picture]
    delays = summarise_ledger(result.ledger.values())
    latency_us = {
        "last_sample_to_embedding": _percentiles([event.latency_us for event in result.decoded.values()]),
        "map": _percentiles([event.map_us for event in result.decoded.values()]),
    }
    latency_ms = {
        name.removesuffix("_ms"): {key: round(value, 3) for key, value in delays[name].items()}
        for name in delays
        if name.endswith("_ms")
    }
    content: dict[str, Any] = {
        "simulated": bundle.simulated,
        "n_trials": len(result.decoded),
        "refused": len(result.refused),
        "refused_reasons": dict(Counter(event.reason.split(" at ")[0] for event in result.refused)),
        "retracted": len(result.retracted),
        "lost_samples": result.lost_samples,
        "holes": len(result.holes),
        "faults": dict(Counter(fault.kind for fault in result.faults)),
        "notices": [notice.text for notice in result.notices],
        "latency_us": latency_us,
        "latency_ms": latency_ms,
    }
    drift = next((event.drift for event in reversed(result.decoded.values()) if event.drift), None)
    if drift is not None:
        content["drift"] = drift
    if bundle.classes:
        scores, null = _score(singles, bundle, seed), _score(result.shams, bundle, seed)
        return content | scores | {"baseline_auc": null.get("auc"), "baseline_auc_p": null.get("auc_p")}
    together, single = _score(_means(singles), bundle, seed), _score(singles, bundle, seed)
    null = _score(_means(result.shams), bundle, seed)
    return (
        content
        | {key: together.get(key) for key in ("top1", "chance_top1", "top5", "two_way", "two_way_interval")}
        | {
            "n_way": len(dict(singles)),
            "two_way_p": together.get("p"),
            "baseline_two_way": null.get("two_way"),
            "baseline_two_way_p": null.get("p"),
            "repeats": len(singles) / max(1, len(dict(singles))),
            "single_trial": {key: single.get(key) for key in ("two_way", "two_way_interval", "p", "top1", "top5")},
        }
    )


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p95, p99 = np.percentile(np.array(values), [50, 95, 99])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "p99": round(float(p99), 1), "n": len(values)}


Labelled = Sequence[tuple[str, "NDArray[np.floating[Any]]"]]


def _score(trials: Labelled, bundle: Bundle, seed: int) -> dict[str, Any]:
    """Return the scores of embeddings with what was shown, among what was shown; nothing where that cannot be told."""
    from calibration.summary import summarise as score

    known = [(name, embedding) for name, embedding in trials if name in bundle.gallery.names]
    if len(dict(known)) < 2:
        return {}
    names = np.array([name for name, _ in known])
    predicted = np.stack([embedding for _, embedding in known])
    return score(predicted, names, np.zeros(len(names), dtype=np.int64), bundle.gallery, PERMUTATIONS, seed)


def _means(trials: Labelled) -> list[tuple[str, NDArray[np.floating[Any]]]]:
    """Return the mean embedding of each picture."""
    by_name: dict[str, list[NDArray[np.floating[Any]]]] = {}
    for name, embedding in trials:
        by_name.setdefault(name, []).append(embedding)
    return [(name, np.mean(embeddings, axis=0, dtype=np.float64)) for name, embeddings in by_name.items()]
