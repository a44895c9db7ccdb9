import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import Config
from realtime.epoching.epochs import Closed, Refused
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.fault_injection import FaultSpec, faulty_spec, inject, parse_fault, parse_faults
from realtime.timeline.sample_grid import Fault, Hole

RATE = 250.0
SPEC = StreamSpec("eeg", "EEG", "id", RATE, ("Fz", "Cz", "Pz"))
N = 3000


def events(live=False):
    """Twelve seconds of samples that carry their number, in chunks of 5; a marker every 0.2 s from the fourth on."""
    rng = np.random.default_rng(0)
    out = []
    for a in range(0, N, 5):
        timestamps = 100 + np.arange(a, a + 5) / RATE
        samples = np.stack([np.arange(a, a + 5), rng.normal(0, 10, 5), rng.normal(0, 10, 5)], axis=1)
        out.append(Chunk(timestamps, samples.astype(np.float32), timestamps[-1] + 0.002 if live else None))
        if a >= 1000 and a % 50 == 0:
            out.append(Marker(100 + a / RATE, "picture", "p", {"trial": (a - 1000) // 50}))
    return out


def faulty(text, live=False):
    return list(inject(iter(events(live)), parse_faults(text), SPEC))


def joined(items):
    chunks = [item for item in items if isinstance(item, Chunk)]
    return np.concatenate([c.timestamps for c in chunks]), np.concatenate([c.samples for c in chunks])


def test_text_is_read():
    assert parse_fault("drop:25@10s") == FaultSpec("drop", 25.0, None, 10.0)
    assert parse_fault("nan:Cz@5s+0.2s") == FaultSpec("nan", 0.0, "Cz", 5.0, 0.2)
    assert parse_fault("clock-step:-0.5@30") == FaultSpec("clock-step", -0.5, None, 30.0)
    assert parse_fault("restart-without-id").value == 1.0
    assert [f.kind for f in parse_faults("unix@1, drop:2, marker-lost@3s")] == ["marker-lost", "drop", "unix"]


@pytest.mark.parametrize("text", ["dorp:5", "drop:five", "unix:3", "drop:5@", "", "drop:5@1s+1s+1s"])
def test_what_is_not_understood_is_refused(text):
    with pytest.raises(ValueError, match=r"not understood|as a number|no value"):
        parse_fault(text)


def test_faults_that_do_not_fit_are_refused():
    for text, message in (("nan:Oz", "'Oz' is not in the stream"), ("restart@1s", "outlet itself")):
        with pytest.raises(ValueError, match=message):
            faulty(text)


@given(st.integers(1, 500), st.integers(0, 2000))
@settings(deadline=None, max_examples=30)
def test_drop_takes_out_so_many(count, at):
    timestamps, samples = joined(faulty(f"drop:{count}@{at / RATE:.3f}s"))
    gone = np.setdiff1d(np.arange(N), samples[:, 0])
    assert len(gone) == count
    assert gone[0] == at
    assert np.ptp(gone) == count - 1
    np.testing.assert_allclose(timestamps, 100 + samples[:, 0] / RATE)


def test_samples_are_spoilt_where_and_when_told():
    _, samples = joined(faulty("nan:Cz@5s+0.2s"))
    assert np.flatnonzero(np.isnan(samples[:, 1])).tolist() == list(range(1250, 1300))
    assert np.isfinite(samples[:, [0, 2]]).all()
    _, samples = joined(faulty("railed:Pz@10s, flat:Fz@10s"))
    assert np.ptp(samples[2500:, 2]) == np.ptp(samples[2500:, 0]) == 0
    _, scaled = joined(faulty("unit:1e-6@4s"))
    np.testing.assert_allclose(scaled[1000:, 0], np.arange(1000, N) * 1e-6, rtol=1e-6)


def test_channels_go_and_move_with_their_names():
    _, samples = joined(faulty("missing:Cz"))
    assert samples.shape[1] == 2
    assert faulty_spec(SPEC, parse_faults("missing:Cz")).channels == ("Fz", "Pz")
    _, samples = joined(faulty("reordered"))
    np.testing.assert_array_equal(samples[:, 2], np.arange(N))
    assert faulty_spec(SPEC, parse_faults("reordered")).channels == ("Pz", "Cz", "Fz")


def test_timestamps_are_moved():
    true = 100 + np.arange(N) / RATE
    timestamps, _ = joined(faulty("clock-step:-0.5@6s"))
    np.testing.assert_allclose(timestamps - true, np.where(np.arange(N) < 1500, 0, -0.5), atol=1e-9)
    timestamps, _ = joined(faulty("unix@6s"))
    assert timestamps[1500] - true[1500] == pytest.approx(1.7e9)
    timestamps, _ = joined(faulty("jitter:0.003@4s"))
    assert np.std(timestamps[1000:] - true[1000:]) == pytest.approx(0.003, rel=0.1)
    np.testing.assert_array_equal(timestamps[:1000], true[:1000])
    timestamps, _ = joined(faulty("rate:0.01@4s"))
    assert np.diff(timestamps)[1500] == pytest.approx(1 / (1.01 * RATE))


def test_burst_is_stamped_late_and_stall_comes_late():
    timestamps, _ = joined(faulty("burst:0.2@5s"))
    late = timestamps - (100 + np.arange(N) / RATE)
    assert np.flatnonzero(late > 1e-9)[[0, -1]].tolist() == [1250, 1299]
    assert late.max() == pytest.approx(0.2 - 4 / RATE)
    chunks = [item for item in faulty("stall:1@5s", live=True) if isinstance(item, Chunk)]
    ages = np.array([chunk.arrived - chunk.timestamps[-1] for chunk in chunks])
    assert ages.max() == pytest.approx(1.002, abs=0.02)
    np.testing.assert_array_equal(joined(chunks)[1][:, 0], np.arange(N))


def test_markers_are_lost_and_late():
    assert len([m for m in faulty("marker-lost:3@6s") if isinstance(m, Marker)]) == 37
    seen, late = 0.0, []
    for item in faulty("marker-late:1@6s"):
        if isinstance(item, Marker):
            late.append(seen - item.timestamp)
        else:
            seen = item.timestamps[-1]
    assert len(late) == 40
    assert max(late[:10]) < 0.1
    assert min(late[10:-5]) > 0.95


def test_repeat_sends_twice():
    _, samples = joined(faulty("repeat:10@5s"))
    assert len(samples) == N + 10
    assert np.bincount(samples[:, 0].astype(int)).max() == 2


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("drop:1@6s", "hole"),
        ("drop:40@6s", "hole"),
        ("drop:3@6s, clock-step:-0.7@8s", "clock-step"),
        ("stall:1@6s", "burst"),
        ("burst:0.2@6s", "burst"),
        ("clock-step:0.5@6s", "clock-step"),
        ("clock-step:-0.5@6s", "clock-step"),
        ("unix@6s", "clock-step"),
        ("unix", "foreign-clock"),
        ("rate:0.01", "rate"),
        ("jitter:0.002", None),
        ("repeat:10@6s", "duplicate"),
        ("marker-lost:2@6s", "marker-lost"),
        ("marker-late:1@6s", "marker-late"),
        ("nan:Pz@6s+0.1s", "refused"),
    ],
)
def test_no_epoch_off_its_time_is_let_through(text, seen):
    settings = {"filters": {"highpass_hz": None, "lowpass_hz": None}, "window": {"stop_s": 0.6}}
    pipeline = Pipeline(Config.model_validate(settings), SPEC)
    out = [e for item in faulty(text, live=True) for e in pipeline.push(item)] + list(pipeline.finish())
    kinds = {e.kind for e in out if isinstance(e, Fault)}
    kinds |= {"hole" for e in out if isinstance(e, Hole) and e.lost}
    kinds |= {"refused" for e in out if isinstance(e, Refused) and "NaN" in e.reason}
    assert kinds == {seen} - {None} or seen in kinds
    rate = RATE * 1.01 if text == "rate:0.01" else RATE
    closed = [e.epoch for e in out if isinstance(e, Closed)]
    assert (len(closed) == 0) == (text in ("unix", "rate:0.01"))
    for epoch in closed:
        true = 100 + epoch.samples[:, 0] / rate
        assert np.abs(true - (epoch.onset + pipeline.times_s)).max() <= 0.0041
