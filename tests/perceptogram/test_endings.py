"""A whole session, as a user starts it, that is ended by signals, loses its folder or finds its disk full."""

import os
import shutil
import signal
import time

import numpy as np
import pytest

from benchmarks import session_rig
from benchmarks.kill_matrix import ENDING_S, limited, recorded
from benchmarks.session_rig import Rig, wait_for
from perceptogram.live.streams import RECORDING
from tests.support.simulated import SMALL, quick_demo

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(300)]
RATE_HZ = 250.0


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_rig, "N_CALIBRATION", 60)  # what it decodes is not looked at
        folder = tmp_path_factory.mktemp("rig")
        with Rig(folder, quick_demo(folder, render={"steps": 1}, **SMALL)) as rig:
            yield rig


def test_a_closed_terminal_ends_a_session_with_its_summary_and_leaves_nothing_behind(rig):
    session = rig.session("hangup")
    session.wait_until_it_paints()
    os.killpg(session.pid, signal.SIGHUP)
    code, _ = session.end(ENDING_S)
    log = session.log.read_text()
    assert (code, "Traceback" in log) == (0, False), log
    assert (session.out / "summary.json").exists()
    assert b"</clock_offsets></info>" in (session.out / RECORDING).read_bytes()[-4096:]
    assert session.left_behind() == []


def test_a_full_disk_and_a_deleted_folder_lose_nothing_that_can_be_kept(rig):
    session = rig.session("folder")
    session.wait_until_it_paints()
    with limited(session):
        assert wait_for(lambda: "nothing is recorded any more" in told(session), ENDING_S), session.log.read_text()
        time.sleep(1.0)
    assert wait_for(lambda: "recording goes on" in told(session), ENDING_S), session.log.read_text()
    before = decoded(session)
    shutil.rmtree(session.out)
    assert wait_for(lambda: (session.out / RECORDING).exists(), ENDING_S), session.log.read_text()
    assert wait_for(lambda: len(decoded(session)) > len(before) + 2, ENDING_S), session.log.read_text()
    session.signal(signal.SIGTERM)
    code, _ = session.end(ENDING_S)
    assert code == 0, session.log.read_text()
    assert (session.out / "summary.json").exists()
    eeg, _ = recorded(session.out / RECORDING)
    assert np.diff(eeg).max() < 1.5 / RATE_HZ, "no sample is missing"
    assert before
    assert decoded(session)[: len(before)] == before, "what the deleted log held is there again, once"
    assert session.left_behind() == []


def decoded(session):
    return [line["trial"] for line in session.records() if "neighbours" in line]


def told(session):
    return "\n".join(text for _, text in session.notices()) + session.log.read_text()


def test_a_second_ctrl_c_leaves_what_is_not_painted_and_writes_the_summary(rig):
    session = rig.session("twice")
    session.wait_until_it_paints()
    session.processes()["renderer"].suspend()
    before = len(decoded(session))
    assert wait_for(lambda: len(decoded(session)) > before, ENDING_S), "whose picture cannot be painted"
    session.signal(signal.SIGINT)
    early, _ = session.end(2.0, kill=False)
    assert early is None, "it waits for the renderer"
    session.signal(signal.SIGINT)
    code, _ = session.end(ENDING_S)
    assert code == 130, session.log.read_text()
    assert (session.out / "summary.json").exists()
    assert session.left_behind() == []
