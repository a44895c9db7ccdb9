"""A headless Chromium, spoken to over its DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PATIENCE_S = 90.0


class Browser:
    """One browser with a profile of its own."""

    def __init__(self):
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        folder = Path(self._profile.name)
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
        options += ("--remote-debugging-port=0", f"--user-data-dir={folder}", "--hide-scrollbars", "about:blank")
        self._process = subprocess.Popen([CHROMIUM, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told = folder / "DevToolsActivePort"
        deadline = time.monotonic() + PATIENCE_S
        while not (told.exists() and told.read_text().count("\n") >= 1):
            assert self._process.poll() is None, f"chromium ended with {self._process.returncode}"
            assert time.monotonic() < deadline, "chromium does not start"
            time.sleep(0.02)
        port, path = told.read_text().split("\n")[:2]
        self._socket = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, origin=None, proxy=None)
        self._numbers = itertools.count(1)

    def call(self, method, session=None, **params):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url, size=(1280, 800), phone=False):
        return Page(self, url, size, phone)

    def close(self):
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._profile.cleanup()


class Page:
    """One page of it."""

    def __init__(self, browser, url, size, phone):
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=size[0], height=size[1], deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        self.call("Page.enable")
        self.call("Page.navigate", url=url)

    def call(self, method, **params):
        return self._browser.call(method, self._session, **params)

    def evaluate(self, script):
        """The value of a JavaScript expression, awaited."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script, timeout_s=PATIENCE_S):
        """Wait until a JavaScript expression is true, and return its value; a page that still loads is waited for."""
        script = f"(() => {{ try {{ return {script} }} catch {{ return false }} }})()"
        deadline = time.monotonic() + timeout_s
        while not (value := self.evaluate(script)):
            assert time.monotonic() < deadline, f"{script} not within {timeout_s:g} s"
            time.sleep(0.05)
        return value

    def text(self, place):
        return self.evaluate(f"document.querySelector({place!r}).textContent")

    def screenshot(self, path, whole=False):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(shot["data"]))


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    opened = Browser()
    yield opened
    opened.close()
