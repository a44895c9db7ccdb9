"""mne-lsl's player as the amplifier: a peer's idea of metadata, units and annotations."""

import time
import uuid
from collections import Counter

import numpy as np
import pytest

from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Marker
from realtime.sources.lsl import LslSource

pytestmark = pytest.mark.processes


def test_a_peers_player_is_read_with_its_units_and_annotations(tmp_path):
    import mne
    from mne_lsl.player import PlayerLSL

    name = f"player-{uuid.uuid4().hex[:8]}"
    rng = np.random.default_rng(0)
    raw = mne.io.RawArray(
        rng.normal(0, 2e-5, (3, 2000)), mne.create_info(["Fz", "Cz", "Pz"], 200, "eeg"), verbose="error"
    )
    raw.set_annotations(mne.Annotations(np.arange(1, 9), 0, ["square", "rt"] * 4))
    raw.save(tmp_path / "player_raw.fif", verbose="error")
    with PlayerLSL(tmp_path / "player_raw.fif", chunk_size=10, name=name, source_id=name):
        stream = StreamSettings(name=name, timeout_s=20)
        source = LslSource(stream, MarkerSettings(name=f"{name}-annotations", type="annotations"))
        chunks, markers, give_up = [], [], time.monotonic() + 90
        for event in source.events():
            assert time.monotonic() < give_up
            if isinstance(event, Chunk):
                chunks.append(event)
            elif isinstance(event, Marker):
                markers.append(event)
            if len(markers) >= 4 and sum(len(chunk.timestamps) for chunk in chunks) > 200:
                break
        source.close()
    assert source.spec.unit == "volts"
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert np.isclose(samples.std(), 20, rtol=0.2), "microvolts"
    assert set(Counter(marker.kind for marker in markers)) == {"square", "rt"}
    assert np.allclose(np.diff([marker.timestamp for marker in markers]), 1.0, atol=0.06)
