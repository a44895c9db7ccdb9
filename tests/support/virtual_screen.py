"""A virtual screen for tests that need a real window."""

import contextlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

SHOT = """
import ctypes, sys
import numpy as np

class Image(ctypes.Structure):
    _fields_ = [("width", ctypes.c_int), ("height", ctypes.c_int), ("xoffset", ctypes.c_int), ("format", ctypes.c_int),
                ("data", ctypes.POINTER(ctypes.c_char))]

x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype = x.XDefaultRootWindow.restype = ctypes.c_void_p
x.XGetImage.restype = ctypes.POINTER(Image)
display = ctypes.c_void_p(x.XOpenDisplay(None))
root = ctypes.c_void_p(x.XDefaultRootWindow(display))
width, height = map(int, sys.argv[1:])
image = x.XGetImage(display, root, 0, 0, width, height, ctypes.c_ulong(0xFFFFFFFF), 2).contents
sys.stdout.buffer.write(ctypes.string_at(image.data, 4 * width * height))
"""


def shot(width=1280, height=720):
    """What the whole virtual screen shows now, as RGB."""
    done = subprocess.run([sys.executable, "-c", SHOT, str(width), str(height)], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, 4)[..., 2::-1]


@contextlib.contextmanager
def virtual_screen(monkeypatch, size):
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp"],
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


@pytest.fixture
def display(monkeypatch):
    with virtual_screen(monkeypatch, "640x640"):
        yield


@pytest.fixture
def laptop_display(monkeypatch):
    with virtual_screen(monkeypatch, "1280x720"):
        yield
