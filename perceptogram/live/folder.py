"""What a session leaves behind: one line a trial, one picture file a percept that was painted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.files import file_name, whole_file
from configs.schema import PictureSettings
from perceptogram.live.picture_writer import PictureWriter
from realtime.control.percept_record import percept_record
from realtime.decoding.evidence import Percept
from realtime.epoching.epochs import Refused, Retracted
from realtime.painter import Late
from realtime.recording.latency_log import PerceptLog
from realtime.rendering.messages import Frame
from realtime.session import Answered, Decoded, OnScreen, SessionEvent
from realtime.sources.base import Notice
from stimuli.picture_set import PictureSet

logger = logging.getLogger(__name__)

FILES = ("percepts.jsonl", "pictures", "display.png", "strip.png", "ledger.png", "summary.json")
"""All that a session leaves in its folder, its recording apart."""
PATIENCE = 8
"""Later trials after which a picture that did not come is no longer waited for."""


class SessionFolder:
    """Writes ``percepts.jsonl`` and ``pictures/`` while the session runs.

    A trial's line waits until its final picture is painted, so that it carries every stage's time, but not for longer
    than `PATIENCE` later trials: then its picture was given up. `close` writes what still waits.

    Parameters
    ----------
    folder
        Where to write; made where it is missing.
    pictures, settings
        The set from which pictures were shown, for labels and for the process that saves pictures.
    tell
        Called, from any thread, with a line when something cannot be written any more, and when it can again.
    """

    def __init__(
        self,
        folder: Path,
        pictures: PictureSet,
        settings: PictureSettings,
        tell: Callable[[str], None] = logger.warning,
    ) -> None:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        self._pictures = pictures
        self._writer = PictureWriter(folder, settings, tell)
        self._log = PerceptLog(folder / "percepts.jsonl", tell)
        self._waiting: dict[int, dict[str, Any]] = {}

    def __call__(self, event: SessionEvent) -> None:
        """Take in one event of the session."""
        match event:
            case Decoded(percept):
                self.decoded(event, painted="requested" in percept.ledger)
            case Frame():
                self.frame(event)
            case Late(frame):
                self.frame(frame)
            case Answered(percept):
                self._log.write(self._record(percept))
            case OnScreen(trial, timestamp):  # not in the trial's record, which does not wait for that
                self._log.write({"trial": trial, "ledger": {event.stage: timestamp}})
            case Refused() | Retracted():
                self.not_decoded(event)
            case Notice(timestamp, kind, text):
                self._log.write({"stamp": timestamp, "notice": kind, "text": text})

    def decoded(self, event: Decoded, *, painted: bool) -> None:
        """Note a percept; `painted` says whether a picture will come."""
        percept = event.percept
        record = self._record(percept) | {
            "latency_us": round(event.latency_us, 1),
            "map_us": round(event.map_us, 1),
            "file": None,
        }
        if event.drift is not None:
            record["drift"] = {name: round(value, 4) for name, value in event.drift.items()}
        self._waiting[percept.trial] = record
        while len(self._waiting) > PATIENCE:
            self._write(next(iter(self._waiting)))
        if not painted:
            self._write(percept.trial)

    def _record(self, percept: Percept) -> dict[str, Any]:
        label = None
        if percept.picture is not None:
            known = percept.picture in self._pictures.names
            label = self._pictures.label(percept.picture) if known else percept.picture
        return percept_record(percept) | {"label": label}

    def frame(self, frame: Frame) -> None:
        """Note a frame; a final one is saved beside what was shown. Several workers may end in another order."""
        if frame.preview:
            if frame.step == 1:
                self._log.write({"trial": frame.trial, "ledger": {"preview": frame.ledger["preview"]}})
            return
        record = self._waiting.get(frame.trial)
        if record is None:
            return
        record["ledger"].update(frame.ledger)
        if not frame.final:
            return
        if not frame.origin.glides:  # which is of no percept
            record["file"] = self._save(frame, record["picture"])
        self._write(frame.trial)

    def not_decoded(self, event: Refused | Retracted) -> None:
        """Note a trial that has no percept, or has it no longer."""
        what = "refused" if isinstance(event, Refused) else "retracted"
        if event.trial in self._waiting:
            self._write(event.trial)
        self._log.write({"trial": event.trial, "picture": event.marker.picture, what: event.reason})

    def close(self) -> None:
        """Write what still waits, and wait for the pictures that are being saved."""
        for trial in list(self._waiting):
            self._write(trial)
        self._log.close()
        self._writer.close()

    def _write(self, trial: int) -> None:
        self._log.write(self._waiting.pop(trial))

    def _save(self, frame: Frame, picture: str | None) -> str:
        name = f"pictures/{frame.trial:04d}-{file_name(picture or 'unknown')}.png"
        self._writer.save(name, frame.image, picture)
        return name


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yield a name to write to as `whole_file` does; what keeps it from being written is logged and ends nothing."""
    try:
        with whole_file(path) as part:
            yield part
    except OSError as error:
        logger.error("%s was not written: %s", path, error.strerror or error)
