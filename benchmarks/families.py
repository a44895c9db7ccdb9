"""Random streams of report seeds, family by family, and what the time axis's margin trades.

They take half an hour and more: what is scored is kept in a file, from which a later run goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.family_scores import FULL, REPORT, Job, Score, Scored, print_families, rows_of, score_all
from benchmarks.harness import machine, print_table
from benchmarks.kept_scores import Kept
from benchmarks.random_faults import FAMILIES
from realtime.timeline.axis_settings import DEFAULT

MARGINS = (1.0, 4.0, 16.0, 36.0)
"""Margins of the operating curve beside the one that ships."""
CURVE_EVERY = 16
"""Of so many streams of a family one is scored with every margin."""
CURVE_HEADER = ("margin", "streams", "epochs", "wrong in 10,000", "refused far from any fault, %", "lost exact")


def run(quick: bool = False, out: Path | None = None, minutes: float | None = None) -> dict[str, Any]:
    """Score the streams, and of some the operating curve (quick: one short stream a family).

    Parameters
    ----------
    quick
        Whether to take one short stream a family.
    out
        Folder for the scores, from which a later run of the same code goes on.
    minutes
        Time after which no stream is begun.
    """
    kept = Kept(None if out is None else out / "family-scores.jsonl", minutes)
    counts = dict.fromkeys(FAMILIES, 1) if quick else FULL
    scored = kept.scored(in_turn(counts), partial(score_all, at_most_s=12.0 if quick else math.inf))
    rows = rows_of([one for one in scored if one.job.margin == DEFAULT.margin], counts)
    curve = operating_curve(scored)
    print_families(rows, "Random streams by family")
    print_table(f"Operating curve, one stream in {CURVE_EVERY}", CURVE_HEADER, [list(row.values()) for row in curve])
    return {
        "families": rows,
        "operating_curve": curve,
        "seeds": "report",
        "failed": [f"{one.job.family} {one.job.seed}: {one.error}" for one in scored if one.error],
        "whole": kept.whole,
        "machine": machine(),
    }


def in_turn(counts: Mapping[str, int]) -> Iterator[Job]:
    """Yield so many streams of each family, the families in turn: what is broken off holds as many of each."""
    for turn in range(max(counts.values())):
        for name, count in counts.items():
            if turn < count:
                margins = MARGINS if turn % CURVE_EVERY == 0 else ()
                yield from (Job(name, REPORT[turn], margin) for margin in (DEFAULT.margin, *margins))


def operating_curve(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return what each margin comes to on the same streams: those that all margins had the time for."""
    found: dict[float, dict[tuple[str, int], Score]] = {margin: {} for margin in sorted((*MARGINS, DEFAULT.margin))}
    for one in scored:
        found[one.job.margin][one.job[:2]] = one.score
    common = set.intersection(*(set(scores) for scores in found.values()))
    rows = []
    for margin, scores in found.items():
        total = sum((scores[stream] for stream in common), Score())
        row = {
            "margin": margin,
            "streams": total.streams,
            "accepted": total.accepted,
            "wrong_in_10000": round(1e4 * total.wrong / total.accepted, 2) if total.accepted else None,
            "refused_far_percent": round(100 * total.refused_far / total.far, 2) if total.far else None,
            "lost_exact": f"{total.lost_exact} of {total.with_losses}",
        }
        rows.append(row)
    return rows
