"""Who was calibrated, on which days, how well, and what each day took over from earlier ones: read from bundles."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.errors import FitError
from realtime.decoding.bundle import MAP_FILE, RECORD_FILE, Bundle
from realtime.decoding.bundle_record import Record, read_json

logger = logging.getLogger(__name__)

NOBODY = "no pseudonym"


@dataclass(frozen=True)
class Day:
    """A bundle, as it stands in its participant's list.

    Attributes
    ----------
    participant, day, folder
        Pseudonym, date of the fit and the bundle's folder.
    score_name, score, interval
        What the map was scored by, its score and the ends of its interval; None where there is none.
    n_trials
        How many trials it was fitted on.
    sources
        Names of the earlier bundles that it started from, each with how many trials it counts as.
    memory_mb
        Size of what it remembers; None for nothing.
    simulated
        Whether the EEG was simulated.
    """

    participant: str
    day: str
    folder: str
    score_name: str
    score: float | None
    interval: tuple[float, float] | None
    n_trials: int | None
    sources: dict[str, float]
    memory_mb: float | None
    simulated: bool


def carried_over(bundle: Bundle) -> tuple[Day, ...]:
    """Return the earlier bundles that one started from, as it tells of them, and then itself; none if from nothing."""
    prior = bundle.fit.get("prior")
    if not prior:
        return ()
    name = "auc" if "auc" in bundle.scores else "two_way"

    def day(told: Mapping[str, Any], n_trials: int | None, sources: dict[str, float]) -> Day:
        ends = told.get("interval")
        return Day(
            participant=told.get("participant") or NOBODY,
            day=str(told.get("created") or "n/a")[:16].replace("T", " "),
            folder=str(told.get("name", "")),
            score_name=name,
            score=told.get("score"),
            interval=(ends[0], ends[1]) if ends and None not in ends else None,
            n_trials=n_trials,
            sources=sources,
            memory_mb=None,
            simulated=bundle.simulated,
        )

    own = {"participant": bundle.participant, "created": bundle.provenance.get("created")}
    own |= {"score": bundle.scores.get(name), "interval": bundle.scores.get(f"{name}_interval")}
    worths = {str(each["name"]): float(each["worth_trials"]) for each in prior["sources"]}
    return (*(day(each, each["n_trials"], {}) for each in prior["sources"]), day(own, prior["n_new_trials"], worths))


def days(folders: Sequence[Path]) -> tuple[Day, ...]:
    """Return every bundle in folders and below, by participant and then by date; damaged ones are named and left out.

    Raises
    ------
    FitError
        If a folder is not there.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            msg = f"there is no folder {folder}: give one that holds bundles"
            raise FitError(msg)
        for file in sorted(folder.rglob(RECORD_FILE)):
            if not (file.parent / MAP_FILE).is_file():
                continue
            try:
                found.append(_day(file.parent, read_json(file, Record)))
            except ValueError as error:
                logger.warning("%s is left out: %s", file.parent, error)
    return tuple(sorted(found, key=lambda each: (each.participant, each.day, each.folder)))


def _day(folder: Path, told: Record) -> Day:
    name = "auc" if "auc" in told.scores else "two_way"
    ends = told.scores.get(f"{name}_interval")
    prior = told.fit.model_dump().get("prior") or {}
    return Day(
        participant=told.participant or NOBODY,
        day=str(told.provenance.get("created", "n/a"))[:16].replace("T", " "),
        folder=str(folder),
        score_name=name,
        score=told.scores.get(name),
        interval=(ends[0], ends[1]) if ends and None not in ends else None,
        n_trials=told.scores.get("n_trials"),
        sources={str(each["name"]): float(each["worth_trials"]) for each in prior.get("sources", ())},
        memory_mb=None if told.memory is None else told.memory.megabytes,
        simulated=told.simulated,
    )
