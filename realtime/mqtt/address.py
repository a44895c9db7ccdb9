"""Which broker to talk to, as whom, and whether that is safe."""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from configs.errors import InputError

if TYPE_CHECKING:
    from configs.schema import ControlSettings

logger = logging.getLogger(__name__)

USER = "PERCEPTOGRAM_MQTT_USER"
PASSWORD = "PERCEPTOGRAM_MQTT_PASSWORD"


class BrokerError(InputError):
    """A broker that cannot be used as configured."""

    about = "broker"


@dataclass(frozen=True)
class Address:
    """A broker and what it takes to get in.

    Attributes
    ----------
    host, port, tls
        Where it listens and whether the connection is encrypted.
    protocol
        MQTT version; ``"auto"`` is 5 where the broker knows it, else 3.1.1.
    user, password
        None where none are given.
    ca_file
        Certificates to trust beside the system's.
    """

    host: str
    port: int
    tls: bool = False
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether the broker is on this machine, judged by its name alone."""
        return is_loopback(self.host)

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what encrypts the connection, or None where it is plain."""
        if not self.tls:
            return None
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        return context


def is_loopback(host: str) -> bool:
    """Return whether `host` means this machine; no name is looked up but ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def broker_address(settings: ControlSettings, environment: Mapping[str, str] = os.environ) -> Address:
    """Return the broker that `settings` name, with the credentials from the environment or the credentials file.

    Raises
    ------
    BrokerError
        If no broker is named, a file cannot be read, or the broker is on another machine and the connection is not
        both encrypted and authenticated, unless ``allow_remote`` is set.
    """
    if settings.url is None:
        msg = "no broker: set control.url, for example mqtt://127.0.0.1:1883"
        raise BrokerError(msg)
    parts = urlsplit(settings.url)
    tls = parts.scheme == "mqtts"
    try:
        port = parts.port or (8883 if tls else 1883)
    except ValueError as error:
        msg = f"control.url {settings.url}: the port must be between 1 and 65535"
        raise BrokerError(msg) from error
    if settings.ca_file is not None:
        _readable(settings.ca_file, "control.ca_file")
    user, password = _credentials(settings.credentials, environment)
    address = Address(parts.hostname or "", port, tls, settings.protocol, user, password, settings.ca_file)
    if not (address.loopback or settings.allow_remote or (tls and user is not None)):
        lacking = [what for what, there in (("TLS (mqtts://)", tls), ("credentials", user is not None)) if not there]
        msg = (
            f"broker {address} is on another machine and the connection lacks {' and '.join(lacking)}; "
            "add them, or set control.allow_remote: true on a network you trust"
        )
        raise BrokerError(msg)
    return address


def _credentials(file: Path | None, environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    if file is None:
        user = environment.get(USER)
        if user is None and PASSWORD in environment:
            msg = f"{PASSWORD} is set but {USER} is not; set both"
            raise BrokerError(msg)
        return user, environment.get(PASSWORD)
    lines = _readable(file, "control.credentials").splitlines()
    if len(lines) < 2 or not lines[0].strip():
        msg = f"control.credentials {file} must hold two lines: user, password (found {len(lines)} lines)"
        raise BrokerError(msg)
    if os.name == "posix" and file.stat().st_mode & 0o077:
        logger.warning("others on this machine can read the password in %s; run: chmod 600 %s", file, file)
    return lines[0].strip(), lines[1].rstrip("\r\n")


def _readable(file: Path, key: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        msg = f"cannot read {key} {file}: {reason}"
        raise BrokerError(msg) from error
