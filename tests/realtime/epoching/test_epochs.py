import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import ArtefactSettings
from realtime.epoching.epochs import Closed, EpochBuilder, Opened, Refused, Retracted, Samples
from realtime.timeline.sample_grid import Hole, TimedChunk
from stimuli.markers import Marker

RATE = 100.0
N = 1000
START = 50.0
RNG = np.random.default_rng(1)
NOISE = RNG.normal(0, 10, (N, 2)).astype(np.float32)
ONSETS = [START + 2.0 + 0.2 * k for k in range(30)]
MARKERS = [Marker(onset, "picture", f"p{k}") for k, onset in enumerate(ONSETS)]


def builder(**changes):
    defaults = {"first_s": -0.1, "stop_s": 0.5, "rate_hz": RATE, "artefacts": ArtefactSettings(), "settle_s": 1.0}
    return EpochBuilder(**(defaults | changes))


def chunk(start, stop, samples=NOISE, skipped=0):
    index = np.arange(start, stop) + skipped
    return TimedChunk(index, START + index / RATE, samples[start:stop], 0.0)


def stand(events):
    """The epochs that stand in the end, by trial."""
    closed = {}
    for event in events:
        if isinstance(event, Closed):
            closed[event.trial] = event.epoch
        elif isinstance(event, Retracted):
            del closed[event.trial]
    return closed


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def run(items, build=None):
    build = build or builder()
    return [event for item in items for event in build.push(item)] + build.finish()


def test_window_lies_on_the_sample_nearest_to_onset():
    build = builder()
    events = run([chunk(0, 500), Marker(START + 3.0049, "a")], build)
    epoch = of(Closed, events)[0].epoch
    np.testing.assert_array_equal(epoch.samples, NOISE[290:350])
    assert epoch.samples.shape == (build.n_times, 2)
    np.testing.assert_allclose(build.times_s[[0, -1]], [-0.1, 0.49])
    assert epoch.last_timestamp == pytest.approx(START + 3.49)


@settings(deadline=None)
@given(st.lists(st.integers(1, N - 1), max_size=40), st.lists(st.integers(0, 40), min_size=30, max_size=30))
def test_same_epochs_however_cut_and_interleaved(cuts, places):
    edges = sorted({0, *cuts, N})
    chunks = [chunk(a, b) for a, b in itertools.pairwise(edges)]
    mixed = []
    for at in range(len(chunks) + 1):
        mixed += [m for m, place in zip(MARKERS, places, strict=True) if min(place, len(chunks)) == at]
        mixed += chunks[at : at + 1]
    # Trials are numbered as markers arrive, so pictures identify them here.
    epochs = {e.marker.picture: e for e in stand(run(mixed)).values()}
    assert len(epochs) == 30
    for k, onset in enumerate(ONSETS):
        first = round((onset - START) * RATE) - 10
        np.testing.assert_array_equal(epochs[f"p{k}"].samples, NOISE[first : first + 60])


@settings(deadline=None)
@given(st.lists(st.integers(1, N - 1), max_size=40))
def test_no_sample_is_lost_or_doubled_while_handed_on(cuts):
    edges = sorted({0, *cuts, N})
    build = builder()
    events = [e for m in MARKERS[::2] for e in build.push(m)]
    for a, b in itertools.pairwise(edges):
        events += build.push(chunk(a, b))
    events += [e for m in MARKERS[1::2] for e in build.push(m)] + build.finish()
    for trial, epoch in stand(events).items():
        parts = [e for e in of(Samples, events) if e.trial == trial]
        assert [p.first for p in parts] == np.cumsum([0, *[len(p.samples) for p in parts[:-1]]]).tolist()
        np.testing.assert_array_equal(np.concatenate([p.samples for p in parts]), epoch.samples)
        assert len([e for e in of(Opened, events) if e.trial == trial]) == 1


@settings(deadline=None)
@given(st.integers(110, 900), st.integers(0, 60), st.booleans())
def test_any_hole_inside_a_window_refuses_it(at, lost, markers_first):
    data = [chunk(0, at), Hole(at + lost, lost, 0.0), chunk(at, N, skipped=lost)]
    events = run([*MARKERS, *data] if markers_first else [*data, *MARKERS])
    standing = stand(events)
    assert len(standing) + len({e.trial for e in of((Refused, Retracted), events)}) == 30
    for epoch in standing.values():
        first = round((epoch.onset - START) * RATE) - 10
        assert first + 60 <= at or first >= at + lost + 100
        source = first if first + 60 <= at else first - lost
        np.testing.assert_array_equal(epoch.samples, NOISE[source : source + 60])


@settings(deadline=None)
@given(st.integers(150, 800), st.integers(1, 60), st.integers(1, 100), st.sets(st.integers(0, 29)))
def test_a_hole_known_late_leaves_nothing_wrong_behind(at, lost, known_after, early):
    data = [chunk(0, at + known_after), Hole(at, lost, 0.0, retroactive=True)]
    late = TimedChunk(
        np.arange(at + known_after, N) + lost,
        START + (np.arange(at + known_after, N) + lost) / RATE,
        NOISE[at + known_after :],
        0.0,
    )
    before = [MARKERS[k] for k in sorted(early)]
    after = [m for k, m in enumerate(MARKERS) if k not in early]
    standing = {e.marker.picture: e for e in stand(run([*before, *data, late, *after])).values()}
    all_late = {e.marker.picture: e for e in stand(run([*data, late, *MARKERS])).values()}
    assert standing.keys() == all_late.keys()
    for name, epoch in standing.items():
        np.testing.assert_array_equal(epoch.samples, all_late[name].samples)
        first = round((epoch.onset - START) * RATE) - 10
        assert first + 60 <= at or first >= at + known_after + lost + 100


def test_a_closed_epoch_is_retracted_with_a_reason():
    build = builder()
    events = [e for item in (Marker(START + 3, "a"), chunk(0, 360)) for e in build.push(item)]
    assert len(of(Closed, events)) == 1
    (retracted,) = build.push(Hole(340, 3, START + 3.4, retroactive=True))
    assert isinstance(retracted, Retracted)
    assert "3 samples lost" in retracted.reason


@settings(deadline=None)
@given(st.integers(150, 900), st.integers(0, 1))
def test_nan_refuses_its_windows_and_no_others(at, channel):
    samples = NOISE.copy()
    samples[at, channel] = np.nan
    standing = stand(run([*MARKERS, *[chunk(a, a + 10, samples) for a in range(0, N, 10)]]))
    firsts = [round((onset - START) * RATE) - 10 for onset in ONSETS]
    expected = [k for k, first in enumerate(firsts) if first + 60 <= at or first >= at + 101]
    assert sorted(standing) == expected


def test_start_end_and_forgotten_are_refused_with_reasons():
    late = run([*[chunk(a, a + 100) for a in range(0, N, 100)], Marker(START + 0.5, "a")])
    ends = run([Marker(START + 9.8, "a"), Marker(START + 99, "b"), chunk(0, N)])
    gone = run(
        [
            TimedChunk(np.arange(2000), START + np.arange(2000) / RATE, np.ones((2000, 2), np.float32), 0.0),
            Marker(START + 2, "a"),
        ]
    )
    assert [e.reason for e in of(Refused, late)] == ["starts before the time axis and the filters had settled"]
    assert ["before the window was full" in e.reason for e in of(Refused, ends)] == [True, False]
    assert "which are gone" in of(Refused, gone)[0].reason
    assert [e.kind for e in (*of(Refused, late), *of(Refused, ends), of(Refused, gone)[0])] == [
        *("unsettled", "stream-ended", "stream-ended", "late-marker")
    ]
    assert [e.reason for e in run([Marker(1.0, "a")])] == ["stream ended without samples, before onset at 1.000 s"]


def test_one_chunk_may_be_the_whole_recording():
    n = 10_000
    samples = RNG.normal(size=(n, 2)).astype(np.float32)
    events = run([*[Marker(START + 5 * k, "a") for k in range(1, 20)], chunk(0, n, samples)])
    assert len(stand(events)) == 19


def test_a_wrong_rate_is_not_let_through():
    index = np.arange(N)
    slow = TimedChunk(index, START + index / RATE * 1.05, NOISE, 0.0)
    (refused,) = of(Refused, run([slow, Marker(START + 3, "a")]))
    assert "rate is wrong" in refused.reason


def test_artefacts_flag_and_drop_only_when_told():
    samples = NOISE.copy()
    samples[300:, 0] = 7.0
    samples[310, 1] = 900.0
    items = [chunk(0, 500, samples), Marker(START + 3.2, "a")]
    kept = stand(run(items, builder(channels=("Fz", "Cz"))))
    assert kept[0].flags == ("peak-to-peak Cz", "flat Fz")
    dropped = of(Refused, run(items, builder(artefacts=ArtefactSettings(drop=True))))
    assert dropped[0].reason == "artefact: peak-to-peak 1, flat 0"


def test_a_window_without_samples_is_an_error():
    with pytest.raises(ValueError, match="holds no sample"):
        builder(first_s=0.0, stop_s=0.001)


def test_a_window_over_which_times_step_back_is_refused_and_nothing_fails():
    later = chunk(320, 600)
    back = TimedChunk(later.index, later.times - 0.05, later.samples, 0.0)
    events = run([chunk(0, 320), Marker(START + 3.0, "a"), back, Marker(START + 4.0, "b")])
    (refused,) = of(Refused, events)
    assert (refused.trial, refused.kind) == (0, "broken-time")
    assert "stepped back" in refused.reason
    assert list(stand(events)) == [1]
