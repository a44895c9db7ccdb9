"""Where the page is served, and what it takes to get in."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from configs.errors import InputError
from realtime.mqtt.address import is_loopback

if TYPE_CHECKING:
    from configs.schema import WebSettings

TOKEN = "PERCEPTOGRAM_WEB_TOKEN"
SHORTEST_TOKEN = 12
UNREAD_MS = 20_000
"""Milliseconds after which a connection is cut whose other end takes nothing."""


class WebError(InputError):
    """A page that cannot be served as configured."""

    about = "web-page"


@dataclass(frozen=True)
class Door:
    """An open port. It outlives the process that serves there: who knocks meanwhile waits for the next one.

    Attributes
    ----------
    socket
        Listens already.
    host, port
        Its address.
    token
        What a browser must know; None where the page is for this machine alone.
    origins
        Other sites whose pages may come in.
    """

    socket: socket.socket = field(repr=False)
    host: str
    port: int
    token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """What to type into a browser on this machine."""
        host = self.host if is_loopback(self.host) or self.host not in ("0.0.0.0", "::") else socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def invitation(self) -> str:
        """The same with the token, where there is one, in the part that browsers send to nobody."""
        return self.url if self.token is None else f"{self.url}login#{self.token}"

    def close(self) -> None:
        """Listen no more. Safe to call twice."""
        self.socket.close()

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_door(settings: WebSettings, environment: Mapping[str, str] = os.environ) -> Door:
    """Listen where `settings` say.

    Raises
    ------
    WebError
        If that address cannot be had, or the token in the environment is too short to protect anything.
    """
    token = environment.get(TOKEN) or None
    if token is not None and len(token) < SHORTEST_TOKEN:
        msg = f"{TOKEN} has {len(token)} letters; give at least {SHORTEST_TOKEN}, or none to have one made up"
        raise WebError(msg)
    if token is None and not is_loopback(settings.host):
        token = secrets.token_urlsafe(18)
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        msg = f"web.host {settings.host} cannot be listened on: {error.strerror or error}"
        raise WebError(msg) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        listening.bind(address)
        listening.listen(64)
    except OSError as error:
        listening.close()
        msg = (
            f"the page cannot be served on {settings.host} port {settings.port}: {error.strerror or error}; "
            "choose another web.port, or 0 for any that is free"
        )
        raise WebError(msg) from error
    return Door(listening, settings.host, listening.getsockname()[1], token, settings.origins)
