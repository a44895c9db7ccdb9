import time

import numpy as np
import pytest

from configs.schema import MarkerSettings, StreamSettings
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.base import Chunk, Marker
from realtime.sources.lsl import LslSource
from realtime.sources.publish import Publisher
from realtime.sources.recording import SourceError
from tests.support.recording_files import Wave, edf_bytes

pytestmark = pytest.mark.processes

INFO = """<info><name>{name}</name><type>{type}</type><channel_count>{count}</channel_count>
<nominal_srate>{rate}</nominal_srate><channel_format>{format}</channel_format><desc><channels>
<channel><label>Fz</label><unit>microvolts</unit></channel></channels></desc></info>"""


@pytest.fixture
def recorded(tmp_path):
    """Six seconds at 100 Hz with a hole of 0.2 s, a foreign marker and one of ours."""
    timestamps = 5000 + np.arange(600) / 100
    timestamps[300:] += 0.2
    writer = XdfWriter(tmp_path / "run.xdf")
    writer.stream_header(1, INFO.format(name="played", type="EEG", count=1, rate=100, format="float32"))
    writer.numbers(1, timestamps, np.arange(600, dtype=np.float32)[:, None])
    writer.stream_header(2, INFO.format(name="marks", type="Markers", count=1, rate=0, format="string"))
    writer.texts(2, [timestamps[50], timestamps[450]], [["square"], ['{"kind":"picture","picture":"cat","trial":1}']])
    writer.close()
    return tmp_path / "run.xdf", timestamps


def heard(file):
    """Play `file` and return what was sent, and the timestamps, samples and markers that arrived."""
    publisher = Publisher(file, speed=4.0)
    streams = publisher.start()
    source = LslSource(StreamSettings(source_id=streams.source_id), MarkerSettings(source_id=streams.markers_source_id))
    try:
        publisher.play()
        chunks, markers, give_up = [], [], time.monotonic() + 90
        for event in source.events():
            if isinstance(event, Chunk):
                chunks.append(event)
            elif isinstance(event, Marker):
                markers.append(event)
            if publisher.wait(0) is not None:
                break
            assert time.monotonic() < give_up
    finally:
        source.close()
    played = publisher.wait()
    publisher.stop()
    timestamps, samples = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("timestamps", "samples")
    )
    return played, timestamps, samples, markers


def test_what_is_played_arrives_as_recorded(recorded):
    file, timestamps = recorded
    played, received, samples, markers = heard(file)
    assert (played.samples, played.markers) == (600, 2)
    assert samples[:, 0].tolist() == list(range(600))
    assert np.ptp(received - timestamps) < 2e-3
    assert [(marker.kind, marker.picture) for marker in markers] == [("square", None), ("picture", "cat")]
    assert markers[0].timestamp == pytest.approx(received[50], abs=1e-3)
    assert markers[1].timestamp == pytest.approx(received[450], abs=1e-3)


def test_a_pause_of_unknown_length_is_played_as_one_of_a_second(tmp_path):
    status = np.zeros(1500, np.int64)
    status[750] = 1 << 16
    status[[500, 1000]] = 7
    waves = [Wave("Fz", np.arange(1500.0)), Wave("Status", status, "Boolean")]
    (tmp_path / "run.bdf").write_bytes(edf_bytes(waves, bdf=True))
    _, received, samples, markers = heard(tmp_path / "run.bdf")
    assert len(samples) == 1500
    steps = np.diff(received)
    assert np.flatnonzero(steps > 0.5).tolist() == [749]
    assert steps[749] == pytest.approx(1.004, abs=1e-3)
    assert [marker.timestamp for marker in markers] == pytest.approx([received[500], received[1000]], abs=1e-3)


def test_a_recording_that_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(SourceError, match="there is no recording"):
        Publisher(tmp_path / "absent.xdf").start()
