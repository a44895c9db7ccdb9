import json
import math

import numpy as np
import pylsl
import pytest

from realtime.decoding.evidence import Percept
from realtime.decoding.gallery import Neighbour
from realtime.recording.percept_outlets import PerceptOutlets
from realtime.sources.metadata import describe, parse_info
from realtime.spaces import EmbeddingSpace

SPACE = EmbeddingSpace("tiny", "random", 5)
PATIENCE_S = 90.0


def percept(trial, confidence=0.5):
    embedding = np.random.default_rng(trial).normal(size=SPACE.dims).astype(np.float32)
    neighbours = (Neighbour("drawn-1", "fish", 0.25),)
    return Percept(trial, "drawn-1", embedding, 2, confidence, neighbours, ("flat",), {"onset": 1.5})


def inlet(name):
    (info,) = pylsl.resolve_byprop("name", name, 1, PATIENCE_S)
    inlet = pylsl.StreamInlet(info)
    inlet.open_stream(PATIENCE_S)
    return inlet


@pytest.fixture
def streams():
    with PerceptOutlets("P01", SPACE, "1.2.3") as outlets:
        yield outlets, inlet("P01 percepts"), inlet("P01 embeddings")


def test_percepts_and_embeddings_are_heard_with_one_timestamp(streams):
    outlets, percepts, embeddings = streams
    timestamp = pylsl.local_clock() - 0.25
    outlets.push(percept(1), timestamp)
    outlets.push(percept(2, math.nan))
    for trial, confidence in ((1, 0.5), (2, None)):
        (text,), said = percepts.pull_sample(PATIENCE_S)
        values, told = embeddings.pull_sample(PATIENCE_S)
        record = json.loads(text)
        assert said == told
        assert (record["kind"], record["trial"], record["confidence"]) == ("percept", trial, confidence)
        assert record["neighbours"] == [{"name": "drawn-1", "label": "fish", "similarity": 0.25}]
        assert (record["repeats"], record["flags"], record["ledger"]) == (2, ["flat"], {"onset": 1.5})
        np.testing.assert_array_equal(np.float32(values), percept(trial).embedding)
        if trial == 1:
            assert said == timestamp


def test_metadata_name_the_space_and_every_dimension(streams):
    _, percepts, embeddings = streams
    described = {stream: describe(parse_info(stream.info(PATIENCE_S).as_xml())) for stream in (percepts, embeddings)}
    assert described[percepts].type == "Percepts"
    assert described[percepts].type.casefold() != "markers", "or a session would take its percepts for stimuli"
    assert [channel.label for channel in described[embeddings].channels] == [f"dim{n}" for n in range(SPACE.dims)]
    assert described[embeddings].rate_hz == 0
    assert described[embeddings].source_id == "perceptogram-embeddings-P01"
    (space,) = parse_info(embeddings.info(PATIENCE_S).as_xml())["desc"][0]["space"]
    assert space == {"model": ["tiny"], "pretrained": ["random"], "dims": ["5"], "normalised": ["false"]}


def test_what_cannot_be_pushed_is_refused(streams):
    outlets, *_ = streams
    short = percept(1)
    with pytest.raises(ValueError, match=r"shape \[4\], the stream has \[5\]"):
        outlets.push(Percept(1, None, short.embedding[:4], 1, None, ()))
    outlets.close()
    outlets.close()
    with pytest.raises(ValueError, match="closed"):
        outlets.push(short)
