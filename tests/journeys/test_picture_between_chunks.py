"""A picture is in hand as soon as it is painted, however long the next samples take: real streams, a real renderer."""

import threading
import uuid

import pylsl

from configs.schema import RenderSettings
from realtime.rendering.messages import Frame
from realtime.rendering.worker import RenderWorker
from realtime.session import Decoded, Session, Tick
from realtime.sources.base import Notice
from realtime.sources.lsl import LslSource
from stimuli.marker_outlet import MarkerOutlet
from stimuli.markers import Marker
from tests.support.lsl_amplifier import Amplifier
from tests.support.session_parts import CONFIG, SPEC, bundle
from tests.support.tiny_generator import tiny

EVERY_S = 0.25
STALL_S = 10.0


def test_a_picture_does_not_wait_for_the_amplifier():
    name = f"between-{uuid.uuid4().hex[:8]}"
    stream = CONFIG.stream.model_copy(update={"name": name, "stall_s": STALL_S})
    markers = CONFIG.markers.model_copy(update={"name": f"{name}-markers"})
    outlet, over = MarkerOutlet(markers.name, f"{name}-markers"), threading.Event()

    def show():
        while not over.wait(EVERY_S):
            outlet.send(Marker(pylsl.local_clock(), "picture", "p0"))

    shower = threading.Thread(target=show)
    with (
        RenderWorker(RenderSettings(), make=tiny, threads=1) as renderer,
        Amplifier(name, "id", channels=SPEC.channels, marker_s=None) as amplifier,
    ):
        renderer.wait_ready(60)
        source = LslSource(stream, markers)
        config = CONFIG.model_copy(update={"stream": stream, "markers": markers})
        session = Session(config, bundle(), source, renderer, pylsl.local_clock)
        shower.start()
        stopped, ticks, last = None, 0, None
        try:
            for event in session.run():
                if isinstance(event, Decoded) and stopped is None:
                    amplifier.pause()
                    stopped = event.percept.trial
                elif isinstance(event, Tick) and stopped is not None:
                    ticks += 1
                elif isinstance(event, Notice):
                    assert event.kind != "stalled", "the picture waits for the next samples"
                elif isinstance(event, Frame) and event.final and event.trial == stopped:
                    last = event
                    source.close()
        finally:
            over.set()
            shower.join()
            source.close()
            outlet.close()
    assert last is not None
    assert ticks < 50, "the amplifier was stopped"
