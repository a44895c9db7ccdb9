"""What a session said, in so far as it is read again: an hour of it must not fill the memory."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perceptogram.live.spool import Spool
from realtime.decoding.evidence import Percept
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import WITHOUT, RefusalKind, Refused, Retracted
from realtime.painter import Late
from realtime.recording.latency_log import Delays
from realtime.rendering.messages import Frame
from realtime.session import Answered, Decoded, OnScreen, PreStimulusDecoded, SessionEvent
from realtime.sources.base import Notice
from realtime.timeline.sample_grid import Fault, Hole, Recount

RECENT = 200
"""Percepts that may still be taken back or painted; a late hole reaches back ten seconds."""
KEPT_PICTURES = 64
"""Painted pictures that are kept, one of each stimulus; they are on the disk as well."""
KEPT_NOTICES = 1000
KEPT_ABSENCES = 1000
DECODED = ("marker", "arrived", "embedding", "requested")
"""Stages that are known when a trial is decoded."""


@dataclass
class LiveResult:
    """What a session said.

    Attributes
    ----------
    singles, pre_stimulus
        Embeddings of single trials and of the windows before the stimuli, with what was shown.
    pictures
        The last final picture of each stimulus, for the newest `KEPT_PICTURES` of them.
    painted
        The trial of each stimulus' last final picture.
    n_trials
        Percepts, without those that were taken back.
    refused
        Trials without a percept, by kind of refusal.
    n_retracted, n_holes, lost_samples
        Percepts taken back; holes in the stream, and the samples that never came.
    faults, notices
        What else was wrong, by kind, and the newest lines about it.
    delays, latencies_us, map_us
        How long each stage took.
    drift
        What was corrected last.
    electrodes_out, n_without
        The newest times for which an electrode was out of the map, on the LSL clock (`to` is None while it still is);
        percepts that were decoded without one.
    n_early
        Answers to windows that went on.
    decided_at_s
        When the windows were decided that were before their end.
    """

    singles: Spool
    pre_stimulus: Spool
    pictures: dict[str, Frame] = field(default_factory=dict)
    painted: dict[str, int] = field(default_factory=dict)
    n_trials: int = 0
    refused: Counter[RefusalKind] = field(default_factory=Counter)
    n_retracted: int = 0
    n_holes: int = 0
    lost_samples: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    notices: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_NOTICES))
    delays: Delays = field(default_factory=Delays)
    latencies_us: array[float] = field(default_factory=lambda: array("d"))
    map_us: array[float] = field(default_factory=lambda: array("d"))
    drift: dict[str, float] | None = None
    electrodes_out: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_ABSENCES))
    n_without: int = 0
    n_early: int = 0
    decided_at_s: array[float] = field(default_factory=lambda: array("d"))
    _previews: dict[int, float] = field(default_factory=dict)
    _latest: dict[str, Percept] = field(default_factory=dict)
    _recent: dict[int, Percept] = field(default_factory=dict)
    _ledgers: dict[int, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def in_folder(cls, folder: Path) -> LiveResult:
        """Return an empty result that keeps on the disk of `folder` what is only needed at the end."""
        return cls(Spool(folder), Spool(folder))

    def latest(self) -> dict[str, Percept]:
        """Return the last percept of each picture, all its repeats together."""
        return dict(self._latest)

    def unpainted(self) -> list[Percept]:
        """Return those last percepts whose final picture has not come."""
        return [percept for name, percept in self._latest.items() if self.painted.get(name) != percept.trial]

    def __call__(self, event: SessionEvent) -> None:
        """Take in one event of the session."""
        match event:
            case Decoded():
                self._decoded(event)
            case Answered():
                self.n_early += 1
            case PreStimulusDecoded(trial, _, single, shown):
                if shown is not None:
                    self.pre_stimulus.add(trial, shown, single)
            case Frame():
                self._frame(event)
            case Late(frame):
                self._frame(frame)
            case OnScreen(trial, timestamp, True):
                _keep(self._previews, trial, timestamp, RECENT)
            case OnScreen(trial, timestamp):
                if trial in self._ledgers:
                    self.delays.add(self._ledgers[trial] | {"shown": timestamp}, ("shown",))
            case Refused():
                self.refused[event.kind] += 1
            case Retracted(trial):
                self._retracted(trial)
            case ElectrodeChange():
                self._electrode(event)
            case Hole():
                self.n_holes += 1
                self.lost_samples += event.lost
            case Recount():
                self.lost_samples += event.lost
            case Fault():
                self.faults[event.kind] += 1
            case Notice():
                self.notices.append(event.text)

    def _electrode(self, change: ElectrodeChange) -> None:
        if change.out:
            self.electrodes_out += [
                {"electrode": name, "why": change.why, "from": change.timestamp, "to": None}
                for name in change.electrodes
            ]
            return
        for absence in self.electrodes_out:
            if absence["to"] is None and absence["electrode"] in change.electrodes:
                absence["to"] = change.timestamp

    def close(self) -> None:
        """Let go what lies on the disk. Safe to call twice."""
        self.singles.close()
        self.pre_stimulus.close()

    def _decoded(self, event: Decoded) -> None:
        percept = event.percept
        self.n_trials += 1
        if percept.at_s is None:
            self.delays.add(percept.ledger, DECODED)
            self.latencies_us.append(event.latency_us)
            self.map_us.append(event.map_us)
            shown = self._previews.pop(percept.trial, None)
            if shown is not None:
                self.delays.add({**percept.ledger, "preview_shown": shown}, ("preview_shown", "last_sample"))
        else:
            self.decided_at_s.append(percept.at_s)
        self.n_without += any(flag.startswith(WITHOUT) for flag in percept.flags)
        self.drift = event.drift if event.drift is not None else self.drift
        _keep(self._recent, percept.trial, percept, RECENT)
        if percept.picture is not None:
            self.singles.add(percept.trial, percept.picture, event.single)
            self._latest[percept.picture] = percept

    def _frame(self, frame: Frame) -> None:
        if frame.preview:
            return
        first = frame.trial not in self._ledgers
        stages = (*(("first_picture",) if first else ()), *(("final_picture",) if frame.final else ()))
        self.delays.add(frame.ledger, stages)
        _keep(self._ledgers, frame.trial, dict(frame.ledger), RECENT)
        name = None if frame.origin.glides else self._name(frame.trial)
        if frame.final and name is not None and self.painted.get(name, -1) <= frame.trial:
            self.painted[name] = frame.trial
            self.pictures.pop(name, None)
            _keep(self.pictures, name, frame, KEPT_PICTURES)

    def _name(self, trial: int) -> str | None:
        """Return what was shown in a trial that is recent, or the last one of its picture."""
        if trial in self._recent:
            return self._recent[trial].picture
        return next((name for name, percept in self._latest.items() if percept.trial == trial), None)

    def _retracted(self, trial: int) -> None:
        self.n_retracted += 1
        percept = self._recent.pop(trial, None)
        if percept is None:
            return  # its window had been refused
        self.n_trials -= 1
        self.n_without -= any(flag.startswith(WITHOUT) for flag in percept.flags)
        self.singles.drop(trial)
        if percept.picture is None or self._latest[percept.picture] is not percept:
            return
        earlier = [one for one in self._recent.values() if one.picture == percept.picture]
        if earlier:
            self._latest[percept.picture] = earlier[-1]
        else:
            del self._latest[percept.picture]


def _keep(kept: dict, key: int | str, value: object, most: int) -> None:  # type: ignore[type-arg]
    """Set `key`, and forget the oldest beyond `most`."""
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
