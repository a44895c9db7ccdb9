"""Settings of what a session shows and sends beside its own window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from configs.base import Settings


class WebSettings(Settings):
    """The page on which browsers watch and steer a session.

    The token that lets browsers in comes from the environment (``PERCEPTOGRAM_WEB_TOKEN``), never from here. Without
    one no token is asked for on this machine; a page that other machines can reach makes up its own and prints it.
    """

    enabled: bool = False
    """Serve the page, as `--web` does."""
    host: str = "127.0.0.1"
    """Address to listen on; ``0.0.0.0`` lets other machines in, with the token."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8420
    """Port to listen on; 0 takes any that is free."""
    origins: tuple[Annotated[str, Field(pattern=r"^https?://[^/\s]+$")], ...] = ()
    """Other sites whose pages may listen and steer as well, such as ``http://127.0.0.1:5500``."""
    markers: bool = False
    """Take markers from a page that shows the pictures, and send them as the session's marker stream; the page's clock
    is aligned with LSL's."""
    experiment: Path | None = None
    """Folder of that page, served at ``/experiment/``; none where another of `origins` has it."""

    @model_validator(mode="after")
    def _experiment_marks(self) -> WebSettings:
        if self.experiment is not None and not self.markers:
            msg = "experiment needs markers: true, or what it shows reaches nobody"
            raise ValueError(msg)
        return self


class OutputSettings(Settings):
    """A program that is told every percept as Open Sound Control messages."""

    osc: Annotated[str, Field(pattern=r"^udp://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$")]
    """Where it listens, as ``udp://127.0.0.1:9000``."""
    components: Annotated[int, Field(ge=0, le=64)] = 8
    """How many principal components of the embedding it is told."""
