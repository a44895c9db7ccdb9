import os
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from configs.schema import PictureSettings
from perceptogram.live.folder import PATIENCE, SessionFolder
from perceptogram.live.result import LiveResult
from realtime.decoding.evidence import Percept
from realtime.decoding.gallery import Neighbour
from realtime.epoching.epochs import Epoch, Refused
from realtime.processes.supervised import HUNG_S
from realtime.recording.latency_log import read_percepts
from realtime.rendering.messages import Frame, Origin
from realtime.session import Decoded, OnScreen
from realtime.sources.base import Marker
from stimuli.pictures import open_pictures

pytestmark = pytest.mark.processes  # a session's folder presses its pictures in a process of its own

SIDE = 64


def decoded(trial, picture, drift=None):
    epoch = Epoch(trial, Marker(1.0, "picture", picture), 1.0, np.zeros((2, 1), np.float32), (), 2.0, 2.1)
    percept = Percept(trial, picture, np.zeros(4, np.float32), 1, 0.5, (Neighbour("x", "fish", 0.2),), two_way=0.75)
    return Decoded(percept, percept.embedding, epoch, 12.0, 3.0, drift)


def frame(trial, step, of):
    return Frame(
        trial, step, of, np.full((SIDE, SIDE, 3), 40 * step, np.uint8), {f"picture_{step}": float(step)}, trial
    )


def test_each_trial_leaves_a_line_and_its_final_picture_beside_what_was_shown(tmp_path):
    settings = PictureSettings()
    pictures = open_pictures(settings)
    known = pictures.names[0]
    folder = SessionFolder(tmp_path, pictures, settings)
    folder.decoded(decoded(0, known, {"shift": 0.1234567, "scale": 1.0}), painted=True)
    folder.decoded(decoded(1, None), painted=True)
    folder.decoded(decoded(2, known), painted=False)
    folder.frame(frame(0, 1, 2))
    folder.frame(frame(0, 2, 2))
    folder.frame(frame(1, 2, 2))
    folder(OnScreen(1, 9.0))
    folder.not_decoded(Refused(3, Marker(4.0, "picture", known), "hole", "lost-samples"))
    folder.close()
    records = {record["trial"]: record for record in read_percepts(tmp_path / "percepts.jsonl") if "repeats" in record}
    assert list(records) == [2, 0, 1], "a trial waits for its picture"
    assert records[0]["drift"] == {"shift": 0.1235, "scale": 1.0}
    assert (records[0]["two_way"], records[0]["pre_stimulus_two_way"]) == (0.75, None)
    assert records[0]["ledger"] == {"picture_1": 1.0, "picture_2": 2.0}
    assert records[2]["file"] is None
    with Image.open(tmp_path / records[0]["file"]) as beside:
        assert beside.width > 1.6 * beside.height, "shown and reconstructed"
    with Image.open(tmp_path / records[1]["file"]) as alone:
        np.testing.assert_array_equal(np.asarray(alone), frame(1, 2, 2).image)
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_a_picture_that_glides_is_not_kept(tmp_path):
    """Neither among the files nor among what the session's sheet and scores are made of."""
    settings = PictureSettings()
    pictures = open_pictures(settings)
    known = pictures.names[0]
    folder, result = SessionFolder(tmp_path, pictures, settings), LiveResult.in_folder(tmp_path)
    glided = replace(frame(0, 2, 2), origin=Origin("glide", 7))
    for event in (decoded(0, known), glided):
        result(event)
    folder.decoded(decoded(0, known), painted=True)
    folder.frame(glided)
    folder.close()
    (record,) = read_percepts(tmp_path / "percepts.jsonl")
    assert (record["file"], record["ledger"]) == (None, {"picture_2": 2.0})
    assert not list((tmp_path / "pictures").iterdir())
    assert result.pictures == {}
    assert [percept.trial for percept in result.unpainted()] == [0], "it is painted from noise at the end"
    result.close()


@pytest.mark.parametrize("picture", ["x" * 300, "a\x00b", "../../x", "\ud800", ".", "Ω" * 300])
def test_pictures_of_any_name_are_saved_in_the_folder(tmp_path, picture):
    settings = PictureSettings()
    folder = SessionFolder(tmp_path, open_pictures(settings), settings)
    for trial, name in enumerate((picture, "plain")):
        folder.decoded(decoded(trial, name), painted=True)
        folder.frame(frame(trial, 1, 1))
    folder.close()
    records = read_percepts(tmp_path / "percepts.jsonl")
    assert [record["picture"] for record in records] == [picture, "plain"]
    files = {tmp_path / record["file"] for record in records}
    assert set((tmp_path / "pictures").iterdir()) == files


def test_pictures_of_several_workers_may_come_in_any_order(tmp_path):
    settings = PictureSettings()
    folder = SessionFolder(tmp_path, open_pictures(settings), settings)
    for trial in range(PATIENCE):
        folder.decoded(decoded(trial, None), painted=True)
    for trial in reversed(range(PATIENCE)):
        folder.frame(frame(trial, 1, 1))
    for trial in range(PATIENCE, 3 * PATIENCE):
        folder.decoded(decoded(trial, None), painted=True)
    written = read_percepts(tmp_path / "percepts.jsonl")
    assert len(written) == 2 * PATIENCE, "what was given up for newer trials does not wait for ever"
    folder.close()
    records = read_percepts(tmp_path / "percepts.jsonl")
    assert len(records) == 3 * PATIENCE
    assert {record["trial"] for record in records if record["file"]} == set(range(PATIENCE))


def test_pictures_that_cannot_be_saved_are_told_and_the_next_ones_are_saved_again(tmp_path):
    settings, told = PictureSettings(), []
    folder = SessionFolder(tmp_path / "out", open_pictures(settings), settings, told.append)
    for trial in range(4):
        folder.decoded(decoded(trial, None), painted=True)
    folder.frame(frame(0, 1, 1))
    until(lambda: (tmp_path / "out" / "pictures" / "0000-unknown.png").exists())
    shutil.rmtree(tmp_path / "out" / "pictures")
    (tmp_path / "out" / "pictures").write_text("in the way")
    folder.frame(frame(1, 1, 1))
    until(lambda: told)
    folder.frame(frame(2, 1, 1))
    (tmp_path / "out" / "pictures").unlink()
    folder.frame(frame(3, 1, 1))
    folder.close()
    assert told[0].startswith("pictures are not saved any more: cannot write pictures/0001-unknown.png (")
    assert "pictures are saved again; " in told[-1]
    assert (tmp_path / "out" / "pictures" / "0003-unknown.png").exists()
    assert len(read_percepts(tmp_path / "out" / "percepts.jsonl")) == 4


def test_how_many_pictures_were_not_saved_is_told_at_the_end(tmp_path):
    settings, told = PictureSettings(), []
    folder = SessionFolder(tmp_path, open_pictures(settings), settings, told.append)
    shutil.rmtree(tmp_path / "pictures")
    (tmp_path / "pictures").write_text("in the way")
    for trial in range(3):
        folder.decoded(decoded(trial, None), painted=True)
        folder.frame(frame(trial, 1, 1))
    folder.close()
    assert told[-1] == "3 pictures were not saved"


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
def test_the_process_that_saves_pictures_is_replaced_when_it_dies_or_is_stopped_and_that_is_told(tmp_path, harm):
    settings, told = PictureSettings(), []
    folder = SessionFolder(tmp_path, open_pictures(settings), settings, told.append)
    for trial in range(2):
        folder.decoded(decoded(trial, None), painted=True)
    folder.frame(frame(0, 1, 1))
    until(lambda: (tmp_path / "pictures" / "0000-unknown.png").exists())
    os.kill(folder._writer._companion.pid, harm)
    until(lambda: told, HUNG_S + 20.0)
    trouble = "died (exit code -9)" if harm == signal.SIGKILL else "hangs (no sign of life for 5."
    assert len(told) == 1
    assert told[0].startswith(f"the pictures process {trouble}")
    assert told[0].endswith("; it is started again")
    folder.frame(frame(1, 1, 1))
    folder.close()
    assert (tmp_path / "pictures" / "0001-unknown.png").exists()


def until(done, within_s=90.0):
    give_up = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.02)
