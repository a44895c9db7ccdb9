"""A virtual screen for tests that need a real window."""

import contextlib
import os
import shutil
import subprocess

import pytest


@pytest.fixture
def display(monkeypatch):
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x640x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, server.pid, -10)  # a screen does not wait for other programs
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    monkeypatch.setenv("DISPLAY", f":{number}")
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    yield
    server.terminate()
    server.wait(10)
