"""A percept as it is told: one record for MQTT, summaries and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from realtime.mqtt.json import finite

if TYPE_CHECKING:
    from realtime.decoding.evidence import Percept


def percept_record(percept: Percept) -> dict[str, Any]:
    """Return `percept` without its embedding as JSON can hold it; what is not finite becomes null."""
    return {
        "trial": int(percept.trial),
        "picture": percept.picture,
        "neighbours": [
            {"name": one.name, "label": one.label, "similarity": finite(one.similarity)} for one in percept.neighbours
        ],
        "confidence": finite(percept.confidence),
        "repeats": int(percept.repeats),
        "weight": finite(percept.weight),
        "decided": percept.decided,
        "two_way": finite(percept.two_way),
        "pre_stimulus_two_way": finite(percept.pre_stimulus_two_way),
        "flags": list(percept.flags),
        "ledger": {stage: finite(time) for stage, time in percept.ledger.items()},
    }
