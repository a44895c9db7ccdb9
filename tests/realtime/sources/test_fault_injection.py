"""Faults on purpose, over real LSL: what is asked of the simulated amplifier is what a reader sees."""

import itertools

import numpy as np
import pytest

from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Notice
from realtime.sources.fault_injection import parse_fault
from realtime.sources.lsl import LslSource
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.background import BackgroundSettings
from realtime.sources.simulation.participant import SimulationSettings
from realtime.timeline.sample_grid import Fault, Hole
from realtime.timeline.timeline import Timeline

pytestmark = pytest.mark.processes

QUIET = SimulationSettings(background=BackgroundSettings(mains_uv=0), gain_spread=0, jitter_s=0)
MOST_EVENTS = 20_000


def follow(tmp_path, faults, done):
    """Read the simulated stream through the time axis until `done(found)`; return what was found and the chunks."""
    name = f"faulty-{tmp_path.name}"
    job = SimulatedStream(QUIET, markers=MarkerSettings(name=f"{name}-none"), name=name, source_id=name, faults=faults)
    child = start_simulated(job)
    try:
        source = LslSource(StreamSettings(name=name, timeout_s=20))
        timeline, found, chunks = Timeline(source.spec.rate_hz), [], []
        for event in itertools.islice(source.events(), MOST_EVENTS):
            if isinstance(event, Chunk):
                chunks.append(event)
                found += [item for item in timeline.push(event) if isinstance(item, Hole | Fault)]
            elif isinstance(event, Notice):
                found.append(event)
            if done(found, chunks):
                break
        source.close()
    finally:
        child.stop()
    return found, chunks, source.spec


def test_names_of_parts_and_short_form_mean_the_same():
    assert parse_fault("drop:n=50,at=5") == parse_fault("drop:50@5s")
    assert parse_fault("nan:channel=Cz,at=5,for=0.2") == parse_fault("nan:Cz@5s+0.2s")
    assert parse_fault("jitter:sd=0.002") == parse_fault("jitter:0.002")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dorp:n=5", "no kind 'dorp'"),
        ("drop:sd=5", "drop takes n=..., at=..., for=..., not sd=5"),
        ("drop:n=", "not n="),
        ("drop:n=five", "takes samples as a number"),
        ("unix:n=3", "unix takes at=..., for=..., not n=3"),
    ],
)
def test_what_does_not_fit_is_told(text, told):
    with pytest.raises(ValueError, match=told.replace(".", r"\.")):
        parse_fault(text)


@pytest.mark.parametrize(("fault", "told"), [("marker-lost:n=2", "no markers"), ("nan:channel=X9", "'X9' is not in")])
def test_faults_of_other_streams_are_refused(fault, told):
    with pytest.raises(ValueError, match=told):
        SimulatedStream(faults=(fault,)).parsed_faults()


def test_combined_faults_come_when_they_are_due(tmp_path):
    def done(found, _):
        return {"hole", "clock-step"} <= {
            "hole" if isinstance(f, Hole) and f.lost else getattr(f, "kind", "") for f in found
        }

    found, chunks, spec = follow(
        tmp_path, ("drop:n=50,at=4", "jitter:sd=0.001", "clock-step:s=0.5,at=7", "missing:Cz"), done
    )
    (hole,) = [item for item in found if isinstance(item, Hole) and item.lost]
    (step,) = [item for item in found if isinstance(item, Fault) and item.kind == "clock-step"]
    assert hole.lost == 50
    # Time on the wire: what was dropped before does not count.
    assert step.timestamp - hole.timestamp == pytest.approx(3.0, abs=0.1)
    assert "Cz" not in spec.channels
    timestamps = np.concatenate([chunk.timestamps for chunk in chunks])
    assert 0.0005 < np.diff(timestamps)[np.diff(timestamps) < 0.05].std() < 0.003


@pytest.mark.parametrize("kind", ["restart", "restart-without-id"])
def test_an_amplifier_that_is_switched_off_comes_back(tmp_path, kind):
    found, _, _ = follow(
        tmp_path,
        (f"{kind}:s=1.5,at=5",),
        lambda found, _: any(isinstance(item, Hole) and item.lost > 100 for item in found),
    )
    assert {item.kind for item in found if isinstance(item, Notice)} & {"stalled", "lost", "resumed", "reconnected"}
    hole = next(item for item in found if isinstance(item, Hole) and item.lost > 100)
    assert hole.lost == pytest.approx(1.5 * 250, abs=250)
