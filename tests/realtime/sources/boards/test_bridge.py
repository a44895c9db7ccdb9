"""BrainFlow's synthetic board on the air, packets dropped on purpose; boards that are not ready say what to do."""

import sys
import threading

import pytest
from pydantic import TypeAdapter

from benchmarks import board_faults
from configs.errors import ConfigError
from configs.schema import StreamSettings, parse_config
from realtime.sources.boards.board import Board
from realtime.sources.boards.bridge import MODULE, BoardNews, BoardStream, on_air, run_board
from realtime.sources.lsl import LslSource
from realtime.sources.metadata import SourceError
from stimuli.child import ChildProcess

pytest.importorskip("brainflow")


@pytest.mark.processes
@pytest.mark.realtime
@pytest.mark.slow
def test_no_epoch_holds_a_dropped_package():
    row = board_faults.dropping(12.0, 8)
    assert (row["lost"], row["counted"]) == (8, 8)
    assert (row["wrong"], row["moved"]) == (0, 0)
    assert row["accepted"] >= 3
    assert row["refused"] >= 4


@pytest.mark.processes
def test_a_board_that_falls_silent_is_opened_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("realtime.sources.boards.bridge.SILENT_S", 0.5)
    monkeypatch.setattr("realtime.sources.boards.bridge.RETRY_S", 0.1)
    file = tmp_path / "short.csv"
    board_faults.write_played(file, 0.5)
    stop, told, again = threading.Event(), [], threading.Event()

    def tell(event, **fields):
        told.append((event, fields))
        if [event for event, _ in told].count("streaming") == 3:
            again.set()

    settings = {"file": str(file), "master_board": "SYNTHETIC_BOARD"}
    stream = BoardStream("PLAYBACK_FILE_BOARD", settings, "short", "short")
    thread = threading.Thread(target=run_board, args=(stream, stop, tell))
    thread.start()
    try:
        assert again.wait(60)
    finally:
        stop.set()
        thread.join()
    reasons = [fields["text"] for event, fields in told if event == "not-ready"]
    assert all("has sent nothing" in reason for reason in reasons), reasons


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
