"""What a session and a worker must agree on, so that it does not matter which worker paints a picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from configs.schema import RenderSettings
from configs.version import software_version
from realtime.mqtt.foreign_text import one_line
from realtime.spaces import EmbeddingSpace

UNSEEN = frozenset(
    {
        *("seed", "steps", "low_level"),  # stand in each request; the last as the latent to start from
        *("device", "dtype", "compile", "download"),  # where and how fast: the same picture but for rounding
        *("reuse_above", "warm_above", "flow"),  # look at the last picture, so never with workers
        "remote",
    }
)
"""Settings of `render` that may differ. Every other one changes the picture; so does one that is added later, until it
stands here."""
_NOWHERE = object()


@dataclass(frozen=True)
class Contract:
    """What a worker announces and a request demands.

    Attributes
    ----------
    space
        Which embeddings the pictures are painted from.
    software
        Version of this package.
    render
        All settings of `render` that change the picture and are not what they are when left out, as JSON has them;
        `size` always.
    """

    space: EmbeddingSpace
    software: str
    render: Mapping[str, Any]

    @classmethod
    def of(cls, space: EmbeddingSpace, settings: RenderSettings) -> Contract:
        """Return the contract of a session with these settings, or of a worker with them."""
        told = settings.model_dump(mode="json", exclude=set(UNSEEN), exclude_defaults=True)
        return cls(space, software_version(), told | {"size": settings.pixels})

    @property
    def key(self) -> str:
        """A short name that no other contract has."""
        content = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def differences(self, other: Contract) -> list[str]:
        """Return one phrase for each thing in which `other` differs."""
        pairs = {"software version": (self.software, other.software), "embedding space": (self.space, other.space)} | {
            f"render.{name}": (self._setting(name), other._setting(name))
            for name in sorted({*self.render, *other.render})
        }
        return [
            f"{what} {_told(theirs)} where {_told(ours)} is needed"
            for what, (ours, theirs) in pairs.items()
            if ours != theirs
        ]

    def _setting(self, name: str) -> Any:
        """Return a setting's value, by this version's defaults where it was left out."""
        known = RenderSettings.model_fields.get(name)
        return self.render.get(name, _NOWHERE if known is None else known.default)


def picture_size(settings: RenderSettings) -> tuple[int, int]:
    """Return height and width of the pictures that these settings ask for."""
    side_by_side = 1 if settings.generator == "embedded" else settings.pictures
    return settings.pixels, settings.pixels * side_by_side


def _told(value: object) -> str:
    """Return a value as a user wrote it or would write it; another machine's may be of any length."""
    if value is _NOWHERE:
        return "(no such setting)"
    return "unset" if value is None else one_line(str(value), 100)
