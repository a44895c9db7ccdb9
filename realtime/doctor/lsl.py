"""Whether LSL works here: its libraries, a stream on this machine, and questions through the network."""

from __future__ import annotations

import os
import re
import socket
import time
from importlib import import_module, metadata
from importlib.util import find_spec

from realtime.doctor.check import Check, guarded, isolated
from realtime.sources import lsl_config

LSL_GROUP = "239.255.172.215"
"""Where liblsl asks for streams on the local network."""
FIND_S = 20.0
MULTICAST_S = 1.0
OLDEST_LIBLSL = 116  # liblsl 1.16, the oldest that pylsl supports
SLOW_LSL_MS = 5.0


def check_pylsl() -> Check:
    """Which liblsl pylsl reads streams with."""
    return guarded("liblsl of pylsl", isolated(_pylsl_version), "reinstall pylsl 1.18.2 or newer, which carries liblsl")


def check_mne_lsl() -> Check:
    """Which liblsl mne-lsl carries, where it is installed: programs beside ours may use it."""
    if find_spec("mne_lsl") is None:
        return Check("liblsl of mne-lsl", "ok", "n/a, not installed, and not needed")
    return guarded("liblsl of mne-lsl", isolated(_mne_lsl_version), "reinstall mne-lsl", otherwise="warning")


def check_discovery() -> Check:
    """Whether an LSL stream is found and read on this machine, under the configuration that a session would use."""
    advice = (
        "let UDP 16571-16604 and TCP 16572-16604 through the firewall, or set KnownPeers = {127.0.0.1} in lsl_api.cfg"
    )
    return guarded("LSL on this machine", isolated(_see_itself), advice)


def check_multicast() -> Check:
    """Whether LSL's questions for streams come through the network of this machine."""
    return guarded("LSL on the network", _multicast, _MULTICAST_ADVICE, otherwise="warning")


def _pylsl_version() -> Check:
    import pylsl

    name = "liblsl of pylsl"
    version = pylsl.library_version()
    commit = _library_details(pylsl.library_info())
    found = f"{version // 100}.{version % 100} ({commit}), pylsl {metadata.version('pylsl')}"
    if version < OLDEST_LIBLSL:
        return Check(name, "warning", found, "pip install -U pylsl: older than 1.16 misses functions that are used")
    return Check(name, "ok", found)


def _library_details(info: str) -> str:
    """Return the commit that liblsl tells of itself."""
    match = re.search(r"git:([^/]+)", info)
    return match.group(1) if match else info


def _mne_lsl_version() -> Check:
    version = import_module("mne_lsl.lsl").library_version()
    return Check("liblsl of mne-lsl", "ok", f"{version // 100}.{version % 100}, mne-lsl {metadata.version('mne-lsl')}")


def _see_itself() -> Check:
    import uuid

    import pylsl

    name = "LSL on this machine"
    source_id = f"doctor-{uuid.uuid4().hex}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo("doctor", "Probe", 1, pylsl.IRREGULAR_RATE, "float32", source_id))
    begun = time.perf_counter()
    found = pylsl.resolve_byprop("source_id", source_id, timeout=FIND_S)
    taken_s = time.perf_counter() - begun
    if not found:
        msg = f"a stream of this machine is not found by this machine within {FIND_S:g} s"
        raise RuntimeError(msg)
    inlet = pylsl.StreamInlet(found[0], max_chunklen=1)
    inlet.open_stream(timeout=5.0)
    delays_ms = []
    for _ in range(100):
        outlet.push_sample([0.0], pushed := pylsl.local_clock())
        sample, _timestamp = inlet.pull_sample(timeout=1.0)
        if sample is not None:
            delays_ms.append((pylsl.local_clock() - pushed) * 1e3)
    offset_ms = inlet.time_correction(timeout=5.0) * 1e3
    lost = 100 - len(delays_ms)
    if not delays_ms:
        msg = "a stream is found but its samples do not arrive"
        raise RuntimeError(msg)
    median_ms = sorted(delays_ms)[len(delays_ms) // 2]
    arrived = f"{lost} of 100 samples lost, {median_ms:.2f} ms each"
    told = f"found in {taken_s:.2f} s, {arrived}, clock offset {offset_ms:.2f} ms"
    if any(" 0.0.0.0:" in place for place in lsl_config.listening()):
        told += "; other machines that reach its ports can read it, whatever the configuration (liblsl opens them all)"
    if lost or median_ms > SLOW_LSL_MS:
        return Check(name, "warning", told, "close programs that keep the processor busy, then look again")
    return Check(name, "ok", told)


_MULTICAST_ADVICE = (
    "streams of other machines may not be found: let UDP 16571 through the firewall, or name the machines in "
    "KnownPeers in lsl_api.cfg; streams of this machine are not concerned"
)


def _multicast() -> Check:
    """Ask on LSL's multicast group and listen for the question itself."""
    name = "LSL on the network"
    question = f"doctor-{os.urandom(8).hex()}".encode()
    # A port of our own: the one that liblsl uses may be taken by a stream.
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ears,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
    ):
        ears.bind(("", 0))
        ears.settimeout(MULTICAST_S)
        ears.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(LSL_GROUP) + socket.inet_aton("0.0.0.0")
        )
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        begun = time.perf_counter()
        mouth.sendto(question, (LSL_GROUP, ears.getsockname()[1]))
        try:
            heard = ears.recv(64)
        except TimeoutError:
            return Check(name, "warning", "multicast packets do not come back", _MULTICAST_ADVICE)
        taken_ms = (time.perf_counter() - begun) * 1e3
    if heard != question:
        return Check(name, "warning", "another program's packets come instead of ours", _MULTICAST_ADVICE)
    return Check(name, "ok", f"multicast to {LSL_GROUP} comes back in {taken_ms:.1f} ms")
