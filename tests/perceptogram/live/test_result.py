"""What is kept of a live session, and what is told of it."""

from types import SimpleNamespace

import numpy as np

from perceptogram.live.control_observer import Steering
from perceptogram.live.result import LiveResult
from realtime.session import Session
from realtime.timeline.sample_grid import Hole, Recount
from tests.support.session_parts import CONFIG, RATE, ListSource, bundle, recording

LOST = 23


def test_lost_samples_that_are_counted_anew_are_no_other_hole(tmp_path):
    result = LiveResult.in_folder(tmp_path)
    for event in (Hole(10, 40, 1.0), Recount(-1, 1.0), Hole(90, 2, 2.0), Recount(2, 2.0)):
        result(event)
    result.close()
    assert (result.n_holes, result.lost_samples) == (2, 43)


def test_a_count_that_was_off_behind_a_radio_is_corrected_for_all_who_listen(tmp_path):
    """Packets of five samples come up to 100 ms late: 24 samples seem to be lost where it is 23."""
    timestamps, samples, markers = recording(26.0, drop=slice(3000, 3000 + LOST))
    timestamps = timestamps + np.repeat(np.random.default_rng(0).exponential(0.02, 1300), 5)[: len(timestamps)]
    source = ListSource(timestamps, samples, markers, range(0, 10_000, 5), live=True)
    told = []
    listener = SimpleNamespace(
        status=SimpleNamespace(dropped=0, restarts=0),
        set_state=lambda _state, **_details: None,
        publish=told.append,
        commands=list,
    )
    session = Session(CONFIG, bundle(), source, None, clock=lambda: 0.0)
    observers = [Steering(session, CONFIG, bundle(), listener, None, source.close), LiveResult.in_folder(tmp_path)]
    for event in session.run():
        for observer in observers:
            observer(event)
    observers[1].close()
    counts = [(event.kind, event.data["lost"]) for event in told if getattr(event, "kind", "") in ("hole", "recount")]
    assert [count for count in counts if count[1]] == [("hole", LOST + 1), ("recount", -1)]
    assert observers[1].lost_samples == LOST
    assert abs(next(e for e in told if getattr(e, "kind", "") == "recount").data["stamp"] - 112 - LOST / RATE) < 0.1
