"""What a session comes to in ``summary.json``: counts, scores against their chance levels, delays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptogram.live.result import LiveResult
from realtime.decoding.bundle import Bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERMUTATIONS = 5000


def summarise(result: LiveResult, bundle: Bundle, seed: int = 0) -> dict[str, Any]:
    """Return counts, scores against their chance levels and delays, ready for ``summary.json``.

    Scores stand for single trials and for all repeats of a picture together; the baseline is the same map on the
    windows before the stimuli. A score that cannot be computed is None.

    Parameters
    ----------
    result
        What the session said.
    bundle
        The map, with its gallery and its scores.
    seed
        Seed of the intervals.
    """
    content, singles, earlier = _counts(result, bundle), result.singles.read(), result.pre_stimulus.read()
    if bundle.classes:
        unknown = {"auc": None, "auc_interval": None, "auc_p": None, "classes": list(bundle.gallery.names)}
        scores, null = _score(singles, bundle, seed), _score(earlier, bundle, seed)
        return content | unknown | scores | {"baseline_auc": null.get("auc"), "baseline_auc_p": null.get("auc_p")}
    together, single = _score(_means(singles), bundle, seed), _score(singles, bundle, seed)
    null = _score(_means(earlier), bundle, seed)
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


def _counts(result: LiveResult, bundle: Bundle) -> dict[str, Any]:
    """Return what happened in the session, and how long after the last sample answers and pictures came."""
    delays = result.delays.summary()
    latency_us = {
        "last_sample_to_embedding": _percentiles(result.latencies_us),
        "map": _percentiles(result.map_us),
    }
    latency_ms = {
        name.removesuffix("_ms"): {key: round(value, 3) for key, value in delays[name].items()}
        for name in delays
        if name.endswith("_ms")
    }
    content: dict[str, Any] = {
        "simulated": bundle.simulated,
        "n_trials": result.n_trials,
        "refused": result.refused.total(),
        "refused_reasons": dict(result.refused),
        "retracted": result.n_retracted,
        "lost_samples": result.lost_samples,
        "holes": result.n_holes,
        "faults": dict(result.faults),
        "notices": list(result.notices),
        "electrodes_out": list(result.electrodes_out),
        "decoded_without": result.n_without,
        "latency_us": latency_us,
        "latency_ms": latency_ms,
    }
    if result.n_early or result.decided_at_s:
        content["early"] = _early(result, bundle)
    if result.drift is not None:
        content["drift"] = result.drift
    unscored = result.singles.lost + result.pre_stimulus.lost
    if unscored:
        content["unscored"] = unscored
    return content


def _early(result: LiveResult, bundle: Bundle) -> dict[str, Any]:
    """Return how often windows were answered and decided before their end, and what share of their time that saved."""
    length_s = len(bundle.weights) / bundle.rate_hz
    saved_s = sum(bundle.first_s + length_s - at_s for at_s in result.decided_at_s)
    return {
        "answers": result.n_early + len(result.decided_at_s),
        "decided": len(result.decided_at_s),
        "window_time_saved": round(saved_s / (length_s * max(1, result.n_trials)), 4),
    }


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p95, p99 = np.percentile(np.array(values), [50, 95, 99])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "p99": round(float(p99), 1), "n": len(values)}


Labelled = Sequence[tuple[str, "NDArray[np.floating[Any]]"]]


def _score(trials: Labelled, bundle: Bundle, seed: int) -> dict[str, Any]:
    """Return the scores of embeddings with what was shown, among what was shown; nothing where that cannot be told."""
    from calibration.scores.summary import summarise as score

    known = [(name, embedding) for name, embedding in trials if name in bundle.gallery.names]
    if len(dict(known)) < 2:
        return {}
    names = np.array([name for name, _ in known])
    predicted = np.stack([embedding for _, embedding in known])
    return score(predicted, names, np.zeros(len(names), dtype=np.int64), bundle.candidates, PERMUTATIONS, seed)


def _means(trials: Labelled) -> list[tuple[str, NDArray[np.floating[Any]]]]:
    """Return the mean embedding of each picture."""
    by_name: dict[str, list[NDArray[np.floating[Any]]]] = {}
    for name, embedding in trials:
        by_name.setdefault(name, []).append(embedding)
    return [(name, np.mean(embeddings, axis=0, dtype=np.float64)) for name, embeddings in by_name.items()]
