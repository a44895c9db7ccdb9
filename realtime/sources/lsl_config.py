"""Where LSL may send and look: liblsl's own configuration, set for this process and every process it starts."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "LSLAPICFG"
QUIET = Path(__file__).with_name("quiet_lsl.cfg")
PORTS = 128
"""Ports to look for streams at: liblsl's own are 32, an outlet takes two, and one that finds none free is not found."""


def loopback(session_id: str | None = None) -> str:
    """Return the configuration that looks for and offers streams on this machine only, apart from other sessions on it.

    Nothing is sent to other machines, and their questions for streams are not heard. But liblsl opens the ports of
    each outlet and inlet on every address, and no setting of it changes that: whoever reaches TCP and UDP 16572 to
    16699 of this machine, and tries, can read what is sent. Where that matters, close them in the firewall.

    Parameters
    ----------
    session_id
        Only streams with the same id see each other; a new unique one when left out.
    """
    return "\n".join(
        (
            "[ports]",
            "IPv6 = disable",
            f"PortRange = {PORTS}",
            "[multicast]",
            "ResolveScope = machine",
            "ListenAddress = 127.0.0.1",
            "AddressesOverride = {127.0.0.1}",
            "[lab]",
            "KnownPeers = {127.0.0.1}",
            f"SessionID = {session_id or f'loopback-{uuid.uuid4().hex}'}",
            "[log]",
            "level = -3",
            "",
        )
    )


def use(text: str, file: Path) -> None:
    """Write the configuration `text` to `file` and make liblsl read it, here and in processes started from now on.

    It goes through the environment, so that both copies of liblsl (pylsl's and mne-lsl's) follow it. liblsl reads its
    configuration once, on first use: call this before any stream is opened or looked for.
    """
    file.write_text(text, encoding="utf-8")
    os.environ[VARIABLE] = str(file)


@contextmanager
def on_this_machine() -> Iterator[None]:
    """Keep the LSL streams of this process, and of those started meanwhile, on this machine and to themselves."""
    with tempfile.TemporaryDirectory() as folder:
        use(loopback(), Path(folder) / "lsl_api.cfg")
        yield


def quiet() -> None:
    """Keep liblsl's own log off the terminal, unless this machine has a liblsl configuration of its own."""
    places = (Path("lsl_api.cfg"), Path.home() / "lsl_api" / "lsl_api.cfg", Path("/etc/lsl_api/lsl_api.cfg"))
    if VARIABLE not in os.environ and not any(place.exists() for place in places):
        os.environ[VARIABLE] = str(QUIET)


def chosen() -> bool:
    """Return whether a configuration was chosen for this process, more than `quiet`."""
    return os.environ.get(VARIABLE, str(QUIET)) != str(QUIET)


def listening() -> list[str]:
    """Return where this process listens, such as ``"tcp 0.0.0.0:16572"``; empty where the system does not tell."""
    own = set()
    for file in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # closed meanwhile
            own.add(str(file.readlink()))
    found = []
    for kind, state in (("tcp", "0A"), ("udp", "07")):  # TCP_LISTEN; UDP without a peer
        table = Path("/proc/net") / kind
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            columns = line.split()
            if columns[3] == state and f"socket:[{columns[9]}]" in own:
                address, port = columns[1].split(":")
                host = socket.inet_ntoa(struct.pack("=I", int(address, 16)))
                found.append(f"{kind} {host}:{int(port, 16)}")
    return sorted(found)
