"""Settings of the markers: where they come from, what their labels mean, and when their pictures were seen."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from configs.base import Settings

TAKEN = ("schema", "kind", "picture", "trial", "target", "demand", "duration_s")
"""Fields of a marker that have a meaning of their own."""


class MarkerSettings(Settings):
    """Which marker stream to read and what its labels mean."""

    name: str | None = None
    """Name of the marker stream; the one of its type when left out."""
    type: str = "Markers"
    """Type of the marker stream."""
    source_id: str | None = None
    """Source id of the marker stream."""
    channel: str | None = Field(default=None, validation_alias=AliasChoices("channel", "column"))
    """Channel of the marker stream, or column of a CSV (`markers.column` is the same), that holds the labels; needed
    where several do."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Channels, or columns, whose value is told with each marker, and under which name, for example ``{Marker2:
    orientation}``; the first of them holds the labels where nothing else does."""
    ignore: tuple[str, ...] = ()
    """Labels that are no event, such as codes of offsets."""
    required: bool = True
    """Refuse to start without a marker stream; without it no picture has an onset."""
    classes: dict[str, str] = Field(default_factory=dict)
    """Labels that stand for a set of pictures, for example ``{"1": "house", "2": "face"}``; ``"orientation=45"`` goes
    by a field. The first that fits counts."""
    events: Literal["recording", "bids"] = "recording"
    """Where the markers of a recording are: in the file itself, or in the ``events.tsv`` beside it (``bids``), whose
    ``channels.tsv`` then tells EEG from other channels and good from bad ones."""
    picture_column: str | None = None
    """Column of ``events.tsv`` that names the picture; ``stim_file``, or an identifier of ``stimuli.tsv``, when left
    out."""
    offset_s: float = 0.0
    """Seconds from a marker's timestamp to the light on the screen, as measured; added to every timestamp."""

    from_photodiode: bool | str = False
    """Take onsets of a recording from the light on a photodiode's channel, and names alone from the markers: ``true``
    finds the channel that follows the markers, text names it."""

    @model_validator(mode="after")
    def _one_clock(self) -> MarkerSettings:
        if self.from_photodiode and self.offset_s:
            msg = f"offset_s ({self.offset_s:g}) moves markers, but from_photodiode has onsets from the light: set one"
            raise ValueError(msg)
        return self

    @field_validator("fields")
    @classmethod
    def _free(cls, fields: dict[str, str]) -> dict[str, str]:
        taken = [name for name in fields.values() if name in TAKEN or not name]
        if taken:
            msg = f"the name {taken[0]!r} has a meaning of its own; choose another"
            raise ValueError(msg)
        return fields
