"""The session over real LSL, with the renderer stopped in the middle."""

import threading
from dataclasses import replace

import numpy as np
import pylsl
import pytest

from configs.schema import MarkerSettings, RenderSettings, StreamSettings
from realtime.epoching.epochs import Refused
from realtime.epoching.pipeline import Pipeline
from realtime.rendering.worker import RenderWorker
from realtime.session import Decoded, Session, Tick
from realtime.sources.lsl import LslSource
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.participant import SimulationSettings
from realtime.timeline.sample_grid import Hole
from stimuli.marker_outlet import MarkerOutlet
from stimuli.markers import Marker
from tests.support.session_parts import CONFIG, bundle
from tests.support.tiny_generator import SPACE, tiny

pytestmark = pytest.mark.processes

PAUSED_S = 5.0
EVERY_S = 0.5
SETTLED_S = 4.0


def test_the_eeg_side_never_waits_for_the_renderer():
    name = "SimulatedForSession"
    job = SimulatedStream(
        participant=SimulationSettings(channels=("O1", "Oz", "O2")), name=name, source_id="simulated-for-session"
    )
    markers = MarkerSettings(name="MarkersForSession")
    participant = start_simulated(replace(job, markers=markers))
    outlet = MarkerOutlet(markers.name, "markers-for-session")
    source = LslSource(StreamSettings(name=name), markers)
    stream = CONFIG.stream.model_copy(update={"channels": source.spec.channels})
    config = CONFIG.model_copy(update={"stream": stream})
    pipeline = Pipeline(config, source.spec)
    shape = (pipeline.n_times, len(pipeline.channels))
    rng = np.random.default_rng(0)
    calibration = replace(
        bundle(),
        spec=source.spec,
        filters=pipeline.filters,
        weights=rng.standard_normal((*shape, SPACE.dims)).astype(np.float32),
        mean_input=np.zeros(shape, np.float32),
        space=SPACE,
    )
    renderer = RenderWorker(RenderSettings(), make=tiny).start()
    try:
        renderer.wait_ready(120)
        session = Session(config, calibration, source, renderer, pylsl.local_clock)
        decoded, holes, refused, onsets = [], [], [], []
        first = None
        for event in session.run():
            if isinstance(event, Decoded):
                decoded.append(event)
            elif isinstance(event, Hole):
                holes.append(event)
            elif isinstance(event, Refused):
                refused.append(event)
            elif isinstance(event, Tick):
                first = event.timestamp if first is None else first
                due = first + SETTLED_S + EVERY_S * len(onsets)
                if event.timestamp >= due and len(onsets) < 24:
                    outlet.send(Marker(due, "picture", f"p{len(onsets) % 4}"))
                    onsets.append(due)
                    if len(onsets) == 4:
                        renderer.pause()
                        threading.Timer(PAUSED_S, renderer.resume).start()
                elif event.timestamp > due + 2.0:
                    source.close()
        assert not holes
        assert not refused
        # To a millisecond: LSL measures the clock offset anew for each stream, even on one machine.
        np.testing.assert_allclose([event.epoch.onset for event in decoded], onsets, rtol=0, atol=1e-3)
        # No epoch was late: each was decoded before the next one's last sample was even recorded.
        embedded = [event.percept.ledger["embedding"] for event in decoded]
        last_samples = [event.percept.ledger["last_sample"] for event in decoded]
        paused = [e for e, onset in zip(embedded, onsets, strict=True) if onsets[3] < onset < onsets[3] + PAUSED_S]
        assert len(paused) >= 8
        assert all(done < due for done, due in zip(embedded[:-1], last_samples[1:], strict=True))
        # And the renderer, awake again, went on with the newest percept.
        assert renderer.state.kind in ("ready", "busy")
    finally:
        renderer.stop()
        source.close()
        outlet.close()
        participant.stop()
