import os
import subprocess
import sys
from pathlib import Path

import pytest

from realtime.sources import lsl_config


def test_loopback_keeps_to_this_machine_and_apart_from_others(tmp_path, monkeypatch):
    monkeypatch.setenv(lsl_config.VARIABLE, "elsewhere")
    text = lsl_config.loopback("mine")
    lsl_config.use(text, tmp_path / "lsl.cfg")
    assert os.environ[lsl_config.VARIABLE] == str(tmp_path / "lsl.cfg")
    assert (tmp_path / "lsl.cfg").read_text() == text
    assert "AddressesOverride = {127.0.0.1}" in text
    assert "SessionID = mine" in text
    assert lsl_config.loopback() != lsl_config.loopback(), "each its own session"


def test_a_quiet_log_is_no_choice_of_where_streams_go(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(lsl_config.VARIABLE)
    lsl_config.quiet()
    assert not lsl_config.chosen(), "a benchmark then keeps its streams on loopback"
    monkeypatch.setenv(lsl_config.VARIABLE, str(tmp_path / "mine.cfg"))
    assert lsl_config.chosen()


LISTEN = """
import pylsl
from realtime.sources import lsl_config
outlet = pylsl.StreamOutlet(pylsl.StreamInfo("listens", "EEG", 1, 100, "float32", "listens"))
(found,) = pylsl.resolve_byprop("name", "listens", timeout=60)
pylsl.StreamInlet(found).open_stream(timeout=60)
print("\\n".join(lsl_config.listening()))
"""


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="the system does not tell who listens")
def test_questions_for_streams_are_heard_from_this_machine_alone_and_the_rest_is_said(tmp_path):
    (tmp_path / "lsl.cfg").write_text(lsl_config.loopback())
    environment = os.environ | {lsl_config.VARIABLE: str(tmp_path / "lsl.cfg")}
    done = subprocess.run([sys.executable, "-c", LISTEN], env=environment, capture_output=True, text=True, check=True)
    listening = done.stdout.split("\n")
    assert "udp 127.0.0.1:16571" in listening
    assert "udp 0.0.0.0:16571" not in listening
    everywhere = [place for place in listening if " 0.0.0.0:" in place]
    assert everywhere, "once liblsl has a setting for these too, loopback() sets it and its docstring says so"
