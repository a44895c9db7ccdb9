"""BrainFlow's synthetic board on the air, packets dropped on purpose; boards that are not ready say what to do."""

import sys
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pylsl
import pytest
from pydantic import TypeAdapter

from configs.errors import ConfigError
from configs.schema import ArtefactSettings, Config, FilterSettings, MarkerSettings, StreamSettings, parse_config
from realtime.epoching.epochs import Closed, Refused, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.sources.boards.board import Board
from realtime.sources.boards.bridge import MODULE, BoardNews, BoardStream, on_air, run_board
from realtime.sources.lsl import LslSource
from realtime.sources.metadata import SourceError
from realtime.timeline.sample_grid import Hole
from stimuli.child import ChildProcess
from stimuli.marker_outlet import MarkerOutlet
from stimuli.markers import Marker

pytest.importorskip("brainflow")
DROPPED = (0, 300, 301, 620, 900, 901, 902, 1250)
"""Packages of the synthetic board that never arrive, counted from when the time axis is warm."""
SECONDS = 8.5


class Dropping:
    """The synthetic board, whose first channel is replaced by the running number; chosen packages are left out."""

    def __init__(self, board):
        self._board, self._seen = board, 0
        self.dropped = ()
        self.name, self.rate_hz, self.modulus, self.spec = board.name, board.rate_hz, board.modulus, board.spec

    def read(self):
        samples = self._board.read()
        numbers = self._seen + np.arange(len(samples.host))
        self._seen += len(numbers)
        microvolts = samples.microvolts.copy()
        microvolts[:, 0] = numbers
        kept = ~np.isin(numbers, self.dropped)
        return replace(samples, counts=samples.counts[kept], host=samples.host[kept], microvolts=microvolts[kept])

    def drop(self, packages):
        """Leave out packages counted from half a second ahead."""
        self.dropped = self._seen + 125 + np.array(packages)


@pytest.mark.processes
@pytest.mark.realtime
def test_no_epoch_holds_a_dropped_package():
    stop, told, boards = threading.Event(), [], []

    @contextmanager
    def dropping():
        with Board("SYNTHETIC_BOARD", {}) as board:
            boards.append(Dropping(board))
            yield boards[0]

    stream = BoardStream("SYNTHETIC_BOARD", name="dropping", source_id="dropping")
    thread = threading.Thread(
        target=run_board, args=(stream, stop, lambda event, **fields: told.append((event, fields)), dropping)
    )
    thread.start()
    config = Config(
        stream=StreamSettings(name="dropping"),
        markers=MarkerSettings(name="dropping markers", classes={"go": "go"}),
        filters=FilterSettings(highpass_hz=None, lowpass_hz=None),
        artefacts=ArtefactSettings(peak_to_peak_uv=None, flat_uv=None),
    )
    outlet = MarkerOutlet("dropping markers")
    source = LslSource(config.stream, config.markers)
    try:
        pipeline = Pipeline(config, source.spec)
        end = pylsl.local_clock() + SECONDS
        due, closed, holes, refused = pylsl.local_clock() + 2.0, {}, 0, 0
        for item in source.events():
            now = pylsl.local_clock()
            if now > end:
                break
            if not len(boards[0].dropped) and now > end - SECONDS + 1.5:
                boards[0].drop(DROPPED)
            if now > due:
                outlet.send(Marker(due, "go"))
                due += 0.31
            for event in pipeline.push(item):
                if isinstance(event, Closed):
                    closed[event.trial] = event.epoch
                elif isinstance(event, Retracted):
                    del closed[event.trial]
                refused += isinstance(event, Refused)
                holes += event.lost if isinstance(event, Hole) else 0
        wrong = [trial for trial, epoch in closed.items() if set(np.diff(epoch.samples[:, 0])) != {1.0}]
    finally:
        source.close()
        stop.set()
        thread.join()
    assert holes == len(DROPPED)
    assert wrong == []
    assert len(closed) >= 3
    assert refused >= 4
    assert [fields["lost"] for event, fields in told if event == "status"][-1] == len(DROPPED)


@pytest.mark.processes
def test_the_settings_of_a_session_put_a_board_on_the_air():
    settings = StreamSettings(source="brainflow", board="SYNTHETIC_BOARD", name="bench board")
    found, board = on_air(settings)
    try:
        assert (found.source, found.name, found.unit) == ("lsl", "bench board", "microvolts")
        source = LslSource(found)
        try:
            assert source.spec.rate_hz == 250
            assert source.spec.channels[:3] == ("Fz", "C3", "Cz")
        finally:
            source.close()
    finally:
        board.stop()
    assert on_air(found) == (found, None)


@pytest.mark.processes
def test_a_board_that_is_not_ready_says_what_to_do(monkeypatch):
    monkeypatch.setattr("realtime.sources.boards.bridge.OPENING_S", 3.0)
    settings = StreamSettings(
        source="brainflow", board="CYTON_BOARD", board_settings={"serial_port": "/dev/absent"}, timeout_s=1.0
    )
    with pytest.raises(SourceError, match=r"CYTON_BOARD: its port does not open.*dialout.*tried [12] times"):
        on_air(settings)


@pytest.mark.processes
def test_what_is_wrong_with_a_board_is_news_once():
    stream = BoardStream("CYTON_BOARD", {"serial_port": "/dev/absent"})
    child = ChildProcess(MODULE, ["--job", TypeAdapter(BoardStream).dump_json(stream).decode()])
    try:
        news = BoardNews(child)
        child.wait_for("not-ready", 30.0)
        (notice,) = news()
        assert (notice.kind, "does not open" in notice.text) == ("lost", True)
        assert news() == []
    finally:
        child.stop()
    (notice,) = news()
    assert "has ended" in notice.text


def test_what_is_no_board_or_setting_is_refused():
    with pytest.raises(SourceError, match="'CYTON' is no board"):
        Board("CYTON", {})
    with pytest.raises(SourceError, match=r"board_settings\.port is no setting"):
        Board("CYTON_BOARD", {"port": "x"})
    with pytest.raises(ConfigError, match="go together"):
        parse_config({"stream": {"board": "CYTON_BOARD"}}, "x.yaml")


def test_without_brainflow_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "brainflow", None)
    with pytest.raises(SourceError, match=r"pip install 'perceptogram-live\[boards\]'"):
        Board("SYNTHETIC_BOARD", {})


def test_a_recording_of_brainflow_is_played(tmp_path):
    file = str(tmp_path / "session.csv")
    from brainflow.board_shim import BoardShim

    with Board("SYNTHETIC_BOARD", {}) as board:
        shim = board._board
        assert isinstance(shim, BoardShim)
        shim.add_streamer(f"file://{file}:w")
        threading.Event().wait(0.6)
    with Board("PLAYBACK_FILE_BOARD", {"file": file, "master_board": "SYNTHETIC_BOARD"}) as played:
        assert played.rate_hz == 250
        threading.Event().wait(0.3)
        samples = played.read()
        assert samples.microvolts.shape[1] == 16
        assert len(samples.host) > 20
