"""Is everything here that a session needs? Each check says what it found and what to do about it."""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from configs.extras import lacking
from configs.schema import ControlSettings
from realtime.doctor.check import Check, guarded, isolated
from realtime.doctor.lsl import check_discovery, check_mne_lsl, check_multicast, check_pylsl
from realtime.mqtt.address import Address, broker_address

DISTRIBUTION = "perceptogram-live"
SLOW_DISK_MB_S = 20.0
FREE_DISK_GB = 2.0
USUAL_BROKER = Address("localhost", 1883)
PROBE_MB = 32
_REFUSALS = {
    1: "protocol version",
    2: "client id",
    3: "server unavailable",
    4: "user name or password",
    5: "not allowed",
}


def check_screen() -> Check:
    """Whether a flip of the participant's screen waits for it, and how often it refreshes."""
    advice = "flips cannot be timed here: show pictures on another machine, or reinstall pygame-ce"
    return guarded("screen", isolated(_see_flips), advice, otherwise="warning")


def check_packages() -> Check:
    """Whether every package that is needed is installed and new enough."""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        return Check("packages", "warning", f"{DISTRIBUTION} is not installed", "install it: pip install -e .")
    found, wrong = [], []
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        found.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if wrong:
        return Check("packages", "broken", "; ".join(wrong), "install what the project asks for: pip install -e .")
    return Check("packages", "ok", ", ".join(found))


def check_gpu() -> Check:
    """Which device pictures would be painted on."""
    return guarded("GPU", _gpu, "reinstall torch")


def check_disk(folder: Path) -> Check:
    """How fast a recording can be written to `folder`, on the disk itself and not only to memory."""
    name = f"disk at {folder}"
    probe = folder / f".perceptogram-probe-{os.getpid()}"
    block = os.urandom(1 << 20)
    try:
        begun = time.perf_counter()
        with probe.open("wb", buffering=0) as file:
            for _ in range(PROBE_MB):
                file.write(block)
            os.fsync(file.fileno())
        speed = PROBE_MB / (time.perf_counter() - begun)
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Check(name, "broken", f"cannot write: {error.strerror or error}", "record into another folder")
    finally:
        probe.unlink(missing_ok=True)
    found = f"{speed:.0f} MB/s, {free_gb:.0f} GB free"
    if speed < SLOW_DISK_MB_S:
        return Check(name, "warning", found, f"record to a disk that writes {SLOW_DISK_MB_S:.0f} MB/s or more")
    if free_gb < FREE_DISK_GB:
        return Check(name, "warning", found, f"free {FREE_DISK_GB:.0f} GB or record elsewhere")
    return Check(name, "ok", found)


def check_broker(address: Address = USUAL_BROKER, timeout_s: float = 2.0) -> Check:
    """Check whether an MQTT broker answers, and lets in whom the address names.

    Parameters
    ----------
    address
        Where it should listen, and what it takes to get in.
    timeout_s
        How long to wait for an answer, in seconds.
    """
    name = f"MQTT broker at {address.host}:{address.port}"
    advice = "start one (mosquitto) or run without scripts in the loop: nothing else needs it"
    encrypted = address.tls_context()
    try:
        begun = time.perf_counter()
        with ExitStack() as opened:
            connection = opened.enter_context(socket.create_connection((address.host, address.port), timeout_s))
            if encrypted is not None:
                connection = opened.enter_context(encrypted.wrap_socket(connection, server_hostname=address.host))
            connection.sendall(_greeting(address))
            reply = connection.recv(4)
        taken_ms = (time.perf_counter() - begun) * 1e3
    except OSError as error:
        return Check(name, "warning", f"no answer: {error.strerror or error}", advice)
    if len(reply) < 4 or reply[0] != 0x20:
        return Check(name, "warning", "what answers there is not an MQTT broker", advice)
    if reply[3] != 0:
        reason = _REFUSALS.get(reply[3], f"code {reply[3]}")
        who = "anonymous clients" if address.user is None else f"the user {address.user}"
        return Check(name, "warning", f"it refuses {who} ({reason})", "give user name and password")
    return Check(name, "ok", f"answers in {taken_ms:.1f} ms")


def _greeting(address: Address) -> bytes:
    """Return MQTT 3.1.1's first packet: a clean session without a client id, with the credentials that there are."""
    flags = 0x02 | 0x80 * (address.user is not None) | 0x40 * (address.password is not None)
    texts = [b"", *(text.encode() for text in (address.user, address.password) if text is not None)]
    packet = b"\x00\x04MQTT\x04" + bytes([flags, 0, 10]) + b"".join(len(text).to_bytes(2) + text for text in texts)
    size = len(packet)
    length = bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])
    return b"\x10" + length + packet


def check_all(folder: Path, control: ControlSettings | None = None) -> list[Check]:
    """Return every check, in the order in which a person would mend things.

    The broker is the one that `control` names; where it names none, the usual one of this machine.
    """

    def broker() -> Check:
        if control is None or control.url is None:
            return check_broker()
        return check_broker(broker_address(control))

    return [
        check_packages(),
        check_pylsl(),
        check_mne_lsl(),
        check_discovery(),
        check_multicast(),
        check_screen(),
        check_gpu(),
        check_disk(folder),
        guarded("MQTT broker", broker, "correct the section control of the configuration", "warning"),
    ]


def _see_flips() -> Check:
    from configs.schema import StimulusSettings
    from stimuli.screen import Screen

    name = "screen"
    with Path(os.devnull).open("w") as nowhere:  # what SDL and the window say on the way is in the check's own line
        os.dup2(nowhere.fileno(), 2)
    try:
        screen = Screen(StimulusSettings(fullscreen=False), headless=False, clock=time.perf_counter)
    except Exception as error:  # SDL's own error where there is no screen
        return Check(name, "ok", f"n/a, no screen here ({error})")
    refresh, driver, claimed_hz = screen.refresh, screen.driver, screen.claimed_hz
    screen.close()
    if driver in ("dummy", "offscreen") or not claimed_hz:
        return Check(name, "ok", f"n/a, no screen that refreshes ({driver})")
    if not refresh.vsync:
        advice = "turn vsync on in the graphics driver, or stop the compositor: onsets are paced by the clock alone"
        return Check(name, "warning", f"flips do not wait for the screen ({driver}, {claimed_hz:g} Hz)", advice)
    told = f"flips wait, {refresh.rate_hz:.2f} Hz, intervals within {refresh.spread_s * 1e3:.2f} ms ({driver})"
    return Check(name, "ok", told)


def _gpu() -> Check:
    missing = lacking("gpu", "painting, or fitting to pictures,")
    if missing is not None:
        return Check("GPU", "ok", f"n/a, decoding takes none; {missing}")
    import torch

    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        return Check("GPU", "ok", f"{device.name}, {device.total_memory / 1e9:.0f} GB, torch {torch.__version__}")
    if torch.backends.mps.is_available():
        return Check("GPU", "ok", f"Apple GPU, torch {torch.__version__}")
    if shutil.which("nvidia-smi"):
        advice = "install a torch that is built for your CUDA version"
        return Check(
            "GPU", "warning", f"there is an NVIDIA driver, but torch {torch.__version__} cannot use it", advice
        )
    advice = "the embedded generator needs none; the others paint slowly without"
    return Check("GPU", "warning", f"none, torch {torch.__version__}", advice)
