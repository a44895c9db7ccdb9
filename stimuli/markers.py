"""The marker vocabulary: what a stimulus program says on the marker stream, and how it is read back.

Our own markers are JSON objects, one a sample of a string stream, timestamped with the time at which the picture
appeared. Foreign markers (``"2"``, ``"square"``, the integer 7) are read as plain labels, so any stimulus program can
be used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1
PICTURE = "picture"


@dataclass(frozen=True)
class Marker:
    """Something that happened at a known time.

    Attributes
    ----------
    timestamp
        Time in seconds on the LSL clock.
    kind
        `PICTURE` when a picture appeared; else the label as it was sent (``"block-start"``, ``"2"``, ``"square"``).
    picture
        Name of the picture that appeared, where one did.
    extra
        Everything else that the sender said, such as ``trial`` and ``block``.
    received
        When a live session had it, in seconds on the LSL clock; None elsewhere.
    """

    timestamp: float
    kind: str
    picture: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    received: float | None = field(default=None, compare=False)

    @property
    def duration_s(self) -> float:
        """How long it lasted, by ``duration_s`` in `extra`; 0 where that was not told."""
        told = self.extra.get("duration_s")
        return float(told) if isinstance(told, (int, float)) and math.isfinite(told) else 0.0

    @property
    def is_bad(self) -> bool:
        """Whether it marks a stretch of EEG as not to be used, as MNE's annotations whose name begins with BAD do."""
        return self.kind.casefold().startswith("bad") and self.duration_s > 0

    def text(self) -> str:
        """Return the marker as it travels on the stream: JSON without the timestamp, which travels beside it."""
        record: dict[str, Any] = {"schema": SCHEMA, "kind": self.kind}
        if self.picture is not None:
            record["picture"] = self.picture
        return json.dumps(record | dict(self.extra), separators=(",", ":"))


def class_of(marker: Marker, classes: Mapping[str, str]) -> str | None:
    """Return the class that a marker stands for, by its label or by one of its fields; None where it is of none.

    Parameters
    ----------
    marker
        What came.
    classes
        Class of each label, and of each field's value; the first that fits counts.

    Examples
    --------
    >>> class_of(Marker(0.0, "1", extra={"orientation": 45}), {"orientation=45": "oblique", "1": "low"})
    'oblique'
    """
    fits = {marker.kind, *(f"{name}={_text(value)}" for name, value in marker.extra.items())}
    return next((name for label, name in classes.items() if label in fits), None)


def target_of(marker: Marker) -> str | None:
    """Return what repeats have in common where the picture is unknown, such as "what the participant imagines now"."""
    target = marker.extra.get("target")
    return target if isinstance(target, str) else None


def is_stimulus(marker: Marker, classes: Mapping[str, str], ignore: Collection[str] = ()) -> bool:
    """Return whether a marker is the onset of a stimulus: of one of the classes or, where there are none, of a picture.

    Parameters
    ----------
    marker
        What came.
    classes
        As for `class_of`.
    ignore
        Labels that are no event.
    """
    if marker.kind in ignore:
        return False
    return class_of(marker, classes) is not None if classes else marker.kind == PICTURE


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def read_marker(value: str | int | float, timestamp: float) -> Marker:
    """Return the marker that `value`, one sample of a marker stream, stands for.

    A JSON object with a ``kind`` is one of ours; everything else is a plain label. Whole numbers lose their ``.0``.
    """
    if isinstance(value, (int, float)):
        return Marker(timestamp, f"{value:g}")
    try:
        record = json.loads(value)
    except ValueError:
        return Marker(timestamp, value)
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        return Marker(timestamp, value)
    picture = record.get("picture")
    extra = {key: item for key, item in record.items() if key not in ("schema", "kind", "picture")}
    return Marker(timestamp, record["kind"], picture if isinstance(picture, str) else None, extra)
