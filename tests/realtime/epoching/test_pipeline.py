import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import Config
from realtime.epoching.epochs import Closed, Refused, Samples
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk, Marker, Notice, StreamSpec
from realtime.timeline.sample_grid import Fault, Hole

RATE = 250.0
SPEC = StreamSpec("eeg", "EEG", "id", RATE, ("Fz", "Cz", "Pz"))
N = 2500
RNG = np.random.default_rng(3)
SAMPLES = RNG.normal(0, 10, (N, 3)).astype(np.float32)
STAMPS = 1000 + np.arange(N) / RATE + RNG.normal(0, 5e-4, N)
EVEN = 1000 + np.arange(N) / RATE
MARKERS = [Marker(1003 + 0.2 * k, "picture", f"p{k}") for k in range(25)]


def run(items, config=None, spec=SPEC):
    pipeline = Pipeline(config or Config(), spec)
    return [event for item in items for event in pipeline.push(item)] + list(pipeline.finish())


def epochs(events):
    return {event.epoch.marker.picture: event.epoch for event in events if isinstance(event, Closed)}


def chunks(cuts):
    edges = [0, *sorted(cuts), N]
    return [Chunk(STAMPS[a:b], SAMPLES[a:b]) for a, b in itertools.pairwise(edges) if b > a]


REFERENCE = epochs(run([*chunks([]), *MARKERS]))


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, N), max_size=50), st.booleans())
def test_live_equals_replay_to_the_bit(cuts, markers_first):
    data = chunks(cuts)
    found = epochs(run([*MARKERS, *data] if markers_first else [*data, *MARKERS]))
    assert len(found) == 25
    assert found.keys() == REFERENCE.keys()
    for name, epoch in found.items():
        np.testing.assert_array_equal(epoch.samples, REFERENCE[name].samples)
        assert epoch.last_timestamp == REFERENCE[name].last_timestamp


def test_channels_are_picked_by_name():
    config = Config.model_validate({"stream": {"channels": ["Pz", "Fz"]}})
    found = epochs(run([*chunks([100, 900]), *MARKERS], config))
    for name, epoch in found.items():
        np.testing.assert_array_equal(epoch.samples, REFERENCE[name].samples[:, [2, 0]])


@pytest.mark.parametrize(("channels", "message"), [(["Oz"], "Oz are not in"), (["Fz", "Fz"], "twice: Fz")])
def test_channels_that_cannot_be_picked_are_refused(channels, message):
    with pytest.raises(ValueError, match=message):
        Pipeline(Config.model_validate({"stream": {"channels": channels}}), SPEC)


def test_markers_count_by_class_and_are_moved_by_their_offset():
    config = Config.model_validate({"markers": {"classes": {"2": "face"}, "offset_s": 0.02}})
    events = run([*chunks([]), Marker(1004.0, "2"), Marker(1004.0, "3"), Marker(1004.0, "picture", "p")], config)
    (closed,) = [e for e in events if isinstance(e, Closed)]
    assert closed.epoch.onset == pytest.approx(1004.02)
    same = epochs(run([*chunks([]), Marker(1004.02, "picture", "p")]))
    np.testing.assert_array_equal(closed.epoch.samples, same["p"].samples)


@settings(deadline=None, max_examples=15)
@given(st.integers(600, 2000), st.integers(1, 100))
def test_lost_samples_refuse_what_they_touch(at, lost):
    cut = [*chunks([at])]
    after = Chunk(cut[1].timestamps[lost:], cut[1].samples[lost:], cut[1].arrived)
    events = run([cut[0], after, *MARKERS])
    (hole,) = [e for e in events if isinstance(e, Hole)]
    assert (hole.index, hole.lost) == (at + (0 if hole.retroactive else lost), lost)
    found = epochs(events)
    assert len(found) + len([e for e in events if isinstance(e, Refused)]) == 25
    for epoch in found.values():
        first = round((epoch.onset - 1000) * RATE)
        assert first + 200 <= at or first >= at + lost


@pytest.mark.parametrize(
    ("trials", "told"),
    [
        ([0, 1, 2], []),
        ([0, 3, 4], ["2 markers lost before trial 3"]),
        ([0, 3, 1, 4, 2, 5], ["2 markers lost before trial 3"]),
        ([7, 8, 0, 1, 2], []),
        ([7, 9, 0, 1, 8], ["1 markers lost before trial 9", "6 markers lost before trial 8"]),
    ],
)
def test_lost_markers_are_counted_and_those_overtaken_are_not_lost(trials, told):
    markers = [Marker(1004.0, "picture", "p", {"trial": trial}) for trial in trials]
    assert [event.text for event in run([*markers]) if isinstance(event, Fault)] == told


def test_notices_pass_through():
    notice = Notice(1.0, "stalled", "no data for 0.5 s")
    assert run([notice]) == [notice]


@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(0, 1))
def test_decimation_delays_nothing_and_is_the_same_however_samples_come(sizes, lossy):
    config = Config.model_validate({"filters": {"lowpass_hz": 20.0, "rate_hz": 50.0}})
    edges = np.minimum(np.cumsum([0, *itertools.islice(itertools.cycle(sizes), N)]), N)
    parts = [slice(a, b) for a, b in itertools.pairwise(edges.tolist()) if a < b]
    keep = np.ones(N, bool)
    keep[1003 : 1003 + 7 * lossy] = False
    data = [Chunk(STAMPS[p][keep[p]], SAMPLES[p][keep[p]]) for p in parts if keep[p].any()]
    whole = [Chunk(STAMPS[keep], SAMPLES[keep])]
    came, expected = epochs(run([*MARKERS, *data], config)), epochs(run([*MARKERS, *whole], config))
    assert came.keys() == expected.keys()
    for name, epoch in came.items():
        np.testing.assert_array_equal(epoch.samples, expected[name].samples)

    pipeline = Pipeline(config, SPEC)
    handed, pushed, sent = [], 0, dict.fromkeys(expected, 0)
    take = pipeline.timeline.push
    pipeline.timeline.push = lambda chunk: (handed.append(len(chunk.timestamps)), take(chunk))[1]
    last = {name: round((epoch.last_timestamp - 1000) * RATE) for name, epoch in expected.items()}
    for item in [*MARKERS, *data]:
        for event in pipeline.push(item):
            if isinstance(event, Samples) and (name := MARKERS[event.trial].picture) in sent:
                sent[name] += len(event.samples)
        if isinstance(item, Chunk):
            pushed += len(item.timestamps)
            assert pushed - sum(handed) < 5
        for name, count in sent.items():
            due = 40 - max(0, last[name] + 1 - pushed + 4) // 5
            assert lossy or count == due or due < 2, "a sample of an open window has waited"
    assert len(handed) <= len(data)


@settings(deadline=None, max_examples=8)
@given(
    st.integers(0, 130),
    st.sampled_from([(20.0, 50.0), (50.0, 125.0), (40.0, None)]),
    st.lists(st.integers(500, N), max_size=8),
    st.booleans(),
)
def test_windows_are_the_same_whatever_sample_a_recording_begins_with(first, reduced, cuts, lossy):
    """As far as filters forget: a high-pass would remember the first sample for seconds."""
    lowpass_hz, rate_hz = reduced
    config = Config.model_validate({"filters": {"highpass_hz": None, "lowpass_hz": lowpass_hz, "rate_hz": rate_hz}})
    keep = np.ones(N, bool)
    keep[1403 : 1403 + 7 * lossy] = False
    edges = [0, *sorted(cuts), N]

    def windows(begin):
        parts = [np.flatnonzero(keep[a:b]) + a for a, b in itertools.pairwise([begin, *edges[1:]])]
        return epochs(run([*MARKERS, *[Chunk(EVEN[rows], SAMPLES[rows]) for rows in parts if len(rows)]], config))

    whole, cut = windows(0), windows(first)
    last_s = float(Pipeline(config, SPEC).times_s[-1])
    assert len(whole) == 25 or lossy
    assert cut.keys() == whole.keys()
    for name, epoch in cut.items():
        np.testing.assert_allclose(epoch.samples, whole[name].samples, atol=1e-4)
        assert epoch.last_timestamp == pytest.approx(whole[name].last_timestamp, abs=1e-4)
        assert abs(epoch.last_timestamp - epoch.onset - last_s) <= 0.501 / RATE
