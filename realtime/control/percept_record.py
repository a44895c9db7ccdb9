"""A percept as it is told: one record for MQTT, the LSL outlets, the session's log and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from realtime.mqtt.json import finite

if TYPE_CHECKING:
    from realtime.decoding.evidence import Percept

Number = Annotated[float | None, BeforeValidator(finite)]
"""What is not finite becomes null, since JSON has no number for it."""


class _Neighbour(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)

    name: str
    label: str
    similarity: Number


class PerceptRecord(BaseModel):
    """A `Percept` without its vectors; its fields are explained there."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)

    trial: int
    picture: str | None
    neighbours: list[_Neighbour]
    confidence: Number
    repeats: int
    weight: Number
    decided: bool
    two_way: Number
    pre_stimulus_two_way: Number
    flags: list[str]
    ledger: dict[str, Number]
    at_s: Number


def percept_record(percept: Percept) -> dict[str, Any]:
    """Return `percept` without its vectors as JSON can hold it."""
    return PerceptRecord.model_validate(percept, from_attributes=True).model_dump()
