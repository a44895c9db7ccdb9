"""A session on BrainFlow's synthetic board: pictures are shown, decoded, recorded; a board that is missing is told."""

import numpy as np
import pytest

import perceptogram
from configs.errors import InputError
from configs.schema import Config
from realtime.decoding.bundle import Bundle
from realtime.decoding.gallery import Gallery
from realtime.epoching.filters import FilterChain
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace
from tests.support.simulated import session_config

pytest.importorskip("brainflow")
pytestmark = [pytest.mark.processes, pytest.mark.slow]

CHANNELS = ("Fz", "C3", "Cz", "C4", "Pz", "PO7", "Oz", "PO8", "F5", "F7", "F3", "F1", "F2", "F4", "F6", "F8")


def board_config(**stream) -> Config:
    stream = {"source": "brainflow", "board": "SYNTHETIC_BOARD", "name": "board of the journey"} | stream
    return session_config("board", stream=stream, artefacts={"peak_to_peak_uv": None}, filters={"rate_hz": None})


def bundle_of(config, names):
    """A map that was fitted on nothing: what it says means nothing, but it must say something for each picture."""
    chain = FilterChain(config.filters, 250.0, len(CHANNELS))
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(names), 8)).astype(np.float32)
    return Bundle(
        StreamSpec("board", "EEG", "", 250.0, CHANNELS),
        chain.describe(),
        chain.rate_hz,
        0.0,
        weights=rng.normal(0, 1e-4, (200, len(CHANNELS), 8)).astype(np.float32),
        bias=np.zeros(8, np.float32),
        mean_input=np.zeros((200, len(CHANNELS)), np.float32),
        space=EmbeddingSpace("random", "none", 8),
        gallery=Gallery(tuple(names), tuple(names), embeddings, embeddings.mean(axis=0), embeddings.std(axis=0)),
        fit={"window": config.window.model_dump(mode="json")},
        simulated=True,
    )


def test_a_board_without_lsl_is_decoded_and_recorded(tmp_path):
    config = board_config()
    names = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 3, seed=0)
    bundle = bundle_of(config, names)
    with perceptogram.Session(
        config, bundle, out=tmp_path, show_pictures=True, headless=True, render=False, keep_epochs=True
    ) as session:
        seen = [session.show_and_wait(name) for name in names]
        epochs = session.epochs()
    assert [percept.picture for percept in seen if percept is not None] == list(names)
    assert epochs.get_data().shape == (3, 16, 200)
    raw = perceptogram.read_raw(tmp_path / "recording.xdf", config)
    assert tuple(raw.ch_names) == CHANNELS
    assert list(raw.annotations.description).count("picture") == 3
    cut = perceptogram.read_epochs([tmp_path / "recording.xdf"], config)
    # What was decoded live is what the recording gives, but for how long the filters had settled.
    live, again = epochs.get_data()[-1], cut.get_data()[-1]
    assert np.abs(live - again).max() < 0.05 * np.abs(live).max()


def test_a_board_that_is_missing_ends_the_start_in_one_line(monkeypatch):
    monkeypatch.setattr("realtime.sources.boards.bridge.OPENING_S", 2.0)
    config = board_config(board="CYTON_BOARD", board_settings={"serial_port": "/dev/absent"}, timeout_s=1.0)
    names = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 3, seed=0)
    with pytest.raises(InputError, match="CYTON_BOARD: its port does not open"):
        perceptogram.Session(config, bundle_of(config, names), render=False).__enter__()
