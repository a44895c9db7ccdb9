import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from realtime.control.control_process import Publication, encode_event, offline
from realtime.control.messages import (
    MAX_COMMAND_BYTES,
    SCHEMA,
    Command,
    CommandError,
    Event,
    StateMessage,
    embedding_record,
    parse_command,
    read_embedding,
    schema,
)
from realtime.decoding.evidence import Percept
from realtime.decoding.gallery import Neighbour
from realtime.spaces import EmbeddingSpace

VALID = (
    Command("1", "start"),
    Command("a" * 64, "stop"),
    Command("p", "pause"),
    Command("r", "resume"),
    Command("m", "mark", {"text": "Ω moved"}),
    Command("s", "show", {"picture": "drawn-0001"}),
    Command("f", "show", {"picture": "dog/the dog..1.jpg"}),
    Command("t", "set_threshold", {"confidence": 0.5}),
    Command("n", "set_steps", {"steps": 50}),
)


def written(command):
    return {"id": command.id, "command": command.name, "args": dict(command.args)}


@pytest.mark.parametrize("command", VALID, ids=lambda command: command.name)
def test_valid_commands_are_read(command):
    assert parse_command(json.dumps(written(command)).encode()) == command


@pytest.mark.parametrize(
    ("payload", "command_id", "complaint"),
    [
        (b"", None, "Invalid JSON"),
        (b"\xff\xfe", None, "Invalid JSON"),
        (b"[" * 4000, None, "Invalid JSON"),
        (b" " * (MAX_COMMAND_BYTES + 1), None, "4097 bytes is too large"),
        ({"id": "x"}, "x", "command"),
        ({"id": "x", "command": "format_disk"}, "x", "format_disk"),
        ({"id": "x", "command": "start", "args": {"now": True}}, "x", "args.now"),
        ({"id": "x", "command": "start", "argz": {}}, "x", "argz"),
        ({"id": "", "command": "start"}, None, "id"),
        ({"id": "a b", "command": "start"}, None, "id"),
        ({"id": 7, "command": "start"}, None, "id"),
        ({"id": "x", "command": "mark"}, "x", "args"),
        ({"id": "x", "command": "mark", "args": {"text": ""}}, "x", "text"),
        ({"id": "x", "command": "mark", "args": {"text": "a\x00b"}}, "x", "no control characters"),
        ({"id": "x", "command": "show", "args": {"picture": "../../x"}}, "x", "a picture's name as in the set"),
        ({"id": "x", "command": "show", "args": {"picture": "/etc/passwd"}}, "x", "a picture's name as in the set"),
        ({"id": "x", "command": "show", "args": {"picture": "a\\b"}}, "x", "a picture's name as in the set"),
        ({"id": "x", "command": "show", "args": {"picture": "a\x00.png"}}, "x", "no control characters"),
        ({"id": "x", "command": "show", "args": {"picture": "a" * 300}}, "x", "at most 256"),
        ({"id": "x", "command": "set_steps", "args": {"steps": "4"}}, "x", "steps"),
        ({"id": "x", "command": "set_steps", "args": {"steps": True}}, "x", "steps"),
        ({"id": "x", "command": "set_steps", "args": {"steps": 51}}, "x", "less than or equal to 50"),
        ({"id": "x", "command": "set_threshold", "args": {"confidence": -0.1}}, "x", "greater than or equal to 0"),
        (b'{"id": "x", "command": "set_threshold", "args": {"confidence": NaN}}', "x", "confidence"),
        (b'{"id": "x", "command": "set_threshold", "args": {"confidence": Infinity}}', "x", "confidence"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(payload, command_id, complaint):
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    with pytest.raises(CommandError, match=complaint) as refused:
        parse_command(content)
    assert refused.value.command_id == command_id
    assert "\n" not in str(refused.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def payloads(draw):
    """Anything at all, and commands that are nearly right."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    record = written(draw(st.sampled_from(VALID)))
    for key in draw(st.lists(st.sampled_from(["id", "command", "args", "more"]), max_size=2)):
        record[key] = draw(anything)
    content = json.dumps(record).encode()
    cut = draw(st.integers(0, len(content)) | st.just(len(content)))
    return content[:cut]


@given(payloads())
def test_any_payload_is_a_valid_command_or_refused_in_one_line(payload):
    refusal = None
    try:
        command = parse_command(payload)
    except CommandError as error:
        refusal = str(error)
    if refusal is None:
        assert command.name in {one.name for one in VALID}
        assert parse_command(json.dumps(written(command)).encode()) == command
    else:
        assert 0 < len(refusal) <= 500
        assert "\n" not in refusal


def test_percepts_travel_as_their_schema_says():
    space = EmbeddingSpace("tiny", "random", 3)
    percept = Percept(
        7,
        None,
        np.array([1.5, -70000.0, 1e-3], np.float32),
        2,
        math.nan,
        (Neighbour("drawn-1", "fish", 0.25), Neighbour("drawn-2", "sun", math.nan)),
        ("peak-to-peak",),
        {"onset": 12.25, "embedding": math.inf},
    )
    record = json.loads(encode_event(Publication(percept, 5, 1.0, 2.0), space))
    assert record["kind"] == "percept"
    assert (record["seq"], record["trial"], record["repeats"], record["confidence"]) == (5, 7, 2, None)
    assert [one["similarity"] for one in record["neighbours"]] == [0.25, None]
    assert record["ledger"] == {"onset": 12.25, "embedding": None}
    assert record["embedding"]["space"] == {"model": "tiny", "pretrained": "random", "dims": 3, "normalised": False}
    np.testing.assert_allclose(read_embedding(record["embedding"]), [1.5, -65504.0, 1e-3], rtol=1e-3)
    published = schema()["percept"]
    assert set(published["required"]) == set(record), "the published schema names what travels"


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-100, 100, width=32)))
def test_embeddings_keep_half_precision(embedding):
    np.testing.assert_allclose(read_embedding(embedding_record(embedding, None)), embedding, rtol=2**-11, atol=1e-7)


def test_events_that_json_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_event(Publication(Event("quality", {"Fz": math.nan}), 1, 0.0, 0.0), None)
    with pytest.raises(TypeError, match="not JSON serializable"):
        encode_event(Publication(Event("quality", {"Fz": object()}), 1, 0.0, 0.0), None)
    with pytest.raises(ValueError, match="publish the Percept itself"):
        Event("percept", {})


def test_what_is_published_changes_with_its_number_alone():
    """Programs were written for these fields: whoever changes them raises `SCHEMA`; `at_s` came to them."""
    head = "schema t_lsl t_unix"
    score = "confidence repeats weight decided two_way pre_stimulus_two_way"
    fields = {
        "ack": f"{head} id ok error",
        "state": f"{head} state version details",
        "event": f"{head} seq kind data",
        "percept": f"{head} seq kind trial picture neighbours {score} flags embedding ledger at_s",
    }
    assert SCHEMA == 2
    for name, wanted in fields.items():
        found = schema()[name]
        assert set(found["properties"]) == set(found["required"]) == set(wanted.split())
        assert found["additionalProperties"] is False
    inner = {name: set(one["properties"]) for name, one in schema()["percept"]["$defs"].items()}
    assert {frozenset(one) for one in inner.values()} == {
        frozenset(("name", "label", "similarity")),
        frozenset(("float16", "dims", "space")),
        frozenset(("model", "pretrained", "dims", "normalised")),
    }


def test_last_will_keeps_to_the_schema():
    assert StateMessage.model_validate_json(offline()).state == "offline"
    assert set(schema()) == {"command", "ack", "state", "percept", "event"}
