"""What the label of an EDF signal tells: the kind of signal, the electrode and its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from realtime.sources.selection import unit_name

TRIGGERS = ("status", "trigger")
KINDS = {
    **{name: name for name in ("eeg", "ecg", "eog", "emg", "erg", "meg", "mcg", "ep")},
    **dict.fromkeys(("heog", "veog", "heogl", "heogr", "veogl", "veogr", "veogu"), "eog"),
    **dict.fromkeys(("ekg",), "ecg"),
    **dict.fromkeys(
        ("resp", "temp", "sao2", "spo2", "light", "sound", "event", "dist", "pulse", "plet", "gsr"), "misc"
    ),
    **dict.fromkeys(("acc", "gyro", "imu", "bp", "co2", "etco2", "hr", "dc", "dig", "photic", "snore"), "misc"),
    **dict.fromkeys(("aux", "accx", "accy", "accz", "pr", "airflow", "thorax", "abdomen", "battery"), "misc"),
    **dict.fromkeys(TRIGGERS, "stim"),
}
"""Kind by the first word of a label, as EDF+ standardises it, and by the words that are in use beside."""
OTHER_UNITS = ("degc", "°c", "c", "%", "bpm", "mmhg", "ohm", "kohm", "g", "boolean", "l/min", "cmh2o", "lux", "deg")
"""Units that no voltage has."""


@dataclass(frozen=True)
class Label:
    """A signal's kind in lower case, empty where nothing tells it, its name, and its reference where that is told."""

    kind: str
    name: str
    reference: str | None = None


def read_labels(labels: Sequence[str], units: Sequence[str]) -> list[Label]:
    """Return what each of `labels` tells, with the `units` of their signals.

    Where one says ``EEG``, those that say nothing are no EEG. A reference that all electrodes share is no part of
    their names: ``EEG Fz-Ref`` is Fz.
    """
    kinds = [_kind(label, unit) for label, unit in zip(labels, units, strict=True)]
    if "eeg" in kinds:
        kinds = [kind or "misc" for kind in kinds]
    names = [_electrode(label) if kind in ("", "eeg") else label for label, kind in zip(labels, kinds, strict=True)]
    reference = _shared([name for name, kind in zip(names, kinds, strict=True) if kind in ("", "eeg")])
    return [
        Label(kind, name.removesuffix(f"-{reference}"), reference)
        if reference is not None and kind in ("", "eeg")
        else Label(kind, name)
        for name, kind in zip(names, kinds, strict=True)
    ]


def _kind(label: str, unit: str) -> str:
    word = label.casefold().split(maxsplit=1)[0].rstrip("0123456789-_") if label else ""
    if word in KINDS:
        return KINDS[word]
    return "misc" if unit.casefold() in OTHER_UNITS and unit_name(unit) is None else ""


def _electrode(label: str) -> str:
    """Return `label` without the word EEG before the name; a number alone is no name."""
    word, _, rest = label.partition(" ")
    rest = rest.strip()
    return rest if word.casefold() == "eeg" and any(letter.isalpha() for letter in rest) else label


def _shared(names: Sequence[str]) -> str | None:
    """Return what stands behind the dash in all of `names`; None where it differs or one has no dash."""
    found = {name.partition("-")[2] for name in names}
    return found.pop() if len(found) == 1 and "" not in found else None
