"""What a session leaves behind: one line a trial, one picture file a percept that was painted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from realtime.contact_sheet import side_by_side
from realtime.epochs import Refused, Retracted
from realtime.ledger import PerceptLog
from realtime.rendering.frames import Frame
from realtime.session import Decoded
from stimuli.pictures import PictureSet


class SessionFolder:
    """Writes ``percepts.jsonl`` and ``pictures/`` while the session runs.

    A trial's line waits until its final picture is painted or a later trial has taken its place, so that it carries
    every stage's time; `close` writes what still waits.

    Parameters
    ----------
    folder
        Where to write; made where it is missing.
    pictures
        Looks up what was shown; None where the pictures are not known.
    """

    def __init__(self, folder: Path, pictures: PictureSet | None) -> None:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._pictures = pictures
        self._log = PerceptLog(folder / "percepts.jsonl")
        self._waiting: dict[int, dict[str, Any]] = {}

    def decoded(self, event: Decoded, *, painted: bool) -> None:
        """Note a percept; `painted` says whether a picture will come."""
        percept = event.percept
        label = None
        if percept.picture is not None:
            known = self._pictures is not None and percept.picture in self._pictures.names
            label = self._pictures.label(percept.picture) if known and self._pictures else percept.picture
        record = {
            "trial": percept.trial,
            "picture": percept.picture,
            "label": label,
            "repeats": percept.repeats,
            "weight": round(percept.weight, 4),
            "confidence": percept.confidence,
            "decided": percept.decided,
            "two_way": percept.two_way,
            "sham_two_way": percept.sham_two_way,
            "neighbours": [
                {"name": near.name, "label": near.label, "similarity": round(near.similarity, 4)}
                for near in percept.neighbours
            ],
            "flags": list(percept.flags),
            "latency_us": round(event.latency_us, 1),
            "map_us": round(event.map_us, 1),
            "file": None,
            "ledger": dict(percept.ledger),
        }
        if event.drift is not None:
            record["drift"] = {name: round(value, 4) for name, value in event.drift.items()}
        self._waiting[percept.trial] = record
        if not painted:
            self._write(percept.trial)

    def frame(self, frame: Frame) -> None:
        """Note a frame; a final one is saved beside what was shown, and ends the waiting of all trials before it."""
        record = self._waiting.get(frame.trial)
        if record is None:
            return
        record["ledger"].update(frame.ledger)
        if not frame.final:
            return
        record["file"] = self._save(frame, record["picture"])
        for trial in [trial for trial in self._waiting if trial <= frame.trial]:
            self._write(trial)

    def shown(self, trial: int, stamp: float) -> None:
        """Note when a trial's final picture was on the screen: after its record, which does not wait for that."""
        self._log.write({"trial": trial, "ledger": {"shown": stamp}})

    def not_decoded(self, event: Refused | Retracted) -> None:
        """Note a trial that has no percept, or has it no longer."""
        what = "refused" if isinstance(event, Refused) else "retracted"
        if event.trial in self._waiting:
            self._write(event.trial)
        self._log.write({"trial": event.trial, "picture": event.marker.picture, what: event.reason})

    def close(self) -> None:
        """Write what still waits."""
        for trial in list(self._waiting):
            self._write(trial)
        self._log.close()

    def _write(self, trial: int) -> None:
        self._log.write(self._waiting.pop(trial))

    def _save(self, frame: Frame, picture: str | None) -> str:
        known = self._pictures is not None and picture in self._pictures.names
        image = Image.fromarray(frame.image)
        if known and self._pictures is not None and picture is not None:
            image = side_by_side(self._pictures.image(picture, frame.image.shape[0]), frame.image)
        name = f"pictures/{frame.trial:04d}-{(picture or 'unknown').replace('/', '_')}.png"
        part = self._folder / (name + ".part")
        image.save(part, format="PNG")
        part.rename(self._folder / name)
        return name
