"""Each benchmark does its work and tells the truth about it, at the smallest size."""

import numpy as np
import pytest

from benchmarks import decode_latency, end_to_end, multi_room, picture_in_hand, receivers, scaling, throughput, watched
from benchmarks.lsl_sender import Amplifier, pushed_at, sending

pytestmark = pytest.mark.processes


def test_the_sender_counts_its_samples_and_says_when_it_pushed_them():
    import pylsl

    with sending(Amplifier(channels=4, rate_hz=200.0)) as amplifier:
        found = pylsl.resolve_byprop("source_id", amplifier.tag, timeout=60.0)
        inlet = pylsl.StreamInlet(found[0])
        samples = np.array([inlet.pull_sample()[0] for _ in range(50)], np.float32)
        now = pylsl.local_clock()
    assert np.array_equal(np.diff(samples[:, 0]), np.ones(49))
    pushed = pushed_at(samples)
    assert np.all(np.diff(pushed) > 0)
    assert 0 < now - pushed[-1] < 20


def test_ours_and_every_peer_give_the_same_embedding(monkeypatch):
    """The benchmark itself compares each embedding with the whole-epoch product, and stops where one differs."""
    monkeypatch.setattr(decode_latency, "DIMS", 32)
    rows = decode_latency._size(5, 40, epochs=20, turns=3, bandwidth=1e10)
    assert [row["open_epochs"] for row in rows] == [1, 3, 6]
    assert set(rows[0]["peers_us"]) == set(decode_latency.PEERS)
    assert all(row["ours_us"]["p50"] > 0 for row in rows)


@pytest.mark.parametrize("receiver", [receivers.ours, receivers.mne_lsl, receivers.pylsl_loop])
def test_every_receiver_makes_embeddings_of_a_live_stream(receiver, monkeypatch):
    monkeypatch.setattr(end_to_end, "AMPLIFIER", Amplifier(channels=8, rate_hz=100.0, onset_every_s=0.25))
    found = end_to_end._measure(receiver, epochs=3)
    assert len(found["ms"]) == 3
    assert all(0 < ms < 20_000 for ms in found["ms"]), "pushed before it was decoded, and not long before"
    assert found["core"] > 0


def test_throughput_counts_what_is_lost():
    def leaky(amplifier):
        for number, samples in enumerate(throughput._pylsl(amplifier)):
            if number % 5:
                yield samples

    row = throughput._measure(leaky, Amplifier(8, 500.0), 1.0)
    assert row["lost"] > 0
    assert not row["keeps_up"]


def test_memory_of_the_live_path_does_not_grow_as_its_trials_do():
    curves = scaling._memory((1, 2))
    assert curves["trials"]["y"][1] > 1.5 * curves["trials"]["y"][0]
    assert curves["file"]["y"][1] == pytest.approx(2 * curves["file"]["y"][0], rel=0.05)
    assert curves["live path"]["y"][1] < 1.2 * curves["live path"]["y"][0]


def test_the_figure_is_drawn(tmp_path):
    curves = {name: {"x": [1e4, 1e5, 1e6], "y": [1.0, 2.0, 4.0]} for name in scaling.ABOUT}
    curves["renderers"]["x"] = [1, 2, 3]
    scaling._draw(curves, dict.fromkeys(scaling.ABOUT, 1.0), tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_rooms_share_their_workers(monkeypatch):
    if multi_room.broker_program() is None:
        pytest.skip("mosquitto is not installed")
    monkeypatch.setattr(multi_room, "WORKERS", (2,))
    monkeypatch.setattr(multi_room, "N_CALIBRATION", 60)  # what the rooms decode is not looked at
    (row,) = multi_room.run(quick=True, rooms=2)["rows"]
    assert row["asked"] == row["painted"] + row["abandoned"] > 0
    assert row["by_kind"]["request"][0] > 0
    assert row["by_kind"]["picture"][1] > 1000, "bytes of a picture"


@pytest.mark.slow
def test_sessions_with_and_without_those_who_watch_are_timed(monkeypatch):
    monkeypatch.setattr(watched, "CLIENTS", 3)
    monkeypatch.setattr(watched, "CHANNELS", 8)
    found = watched.measure(turns=1, percepts=5)
    assert found["epochs"] >= 5
    assert all(found["ratio"][share] > 0 for share in watched.SHARES)
    screen = found["final_picture_to_screen_ms"]
    assert screen is None or screen["p50"] > 0


def test_pictures_between_chunks_of_half_a_second_are_timed():
    row = picture_in_hand._size(125, pictures=2)
    assert row["size"] == 125
    assert 0 < row["ms"]["p50"] <= row["ms"]["max"] < 1e3 * picture_in_hand.PATIENCE_S
