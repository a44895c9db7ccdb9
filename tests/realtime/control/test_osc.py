import re
import select
import shutil
import socket
import struct
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from configs.errors import InputError
from configs.schema import ControlSettings, OutputSettings, parse_config
from realtime.control.control import Control, Event
from realtime.control.messages import StateMessage
from realtime.control.osc import ROOT, UNKNOWN, OscTarget, PrincipalAxes, osc_targets, osc_words
from realtime.decoding.evidence import Percept
from realtime.decoding.filtered_patterns import PatternAttribute, Patterns
from realtime.decoding.gallery import Neighbour
from realtime.rendering.messages import Frame
from tests.support.mosquitto import free_port

PAGE = Path(__file__).parents[3] / "docs" / "monitor.md"
DIMS = 12
RNG = np.random.default_rng(0)
EMBEDDINGS = (RNG.standard_normal((60, DIMS)) * np.linspace(3, 0.5, DIMS) + 1).astype(np.float32)
PATTERNS = Patterns(
    (
        PatternAttribute("main hue", "circular", ("red", "green", "blue"), 2, 0.1, 1.0, 0.5, 0.01),
        PatternAttribute("brightness", "continuous", ("dark", "bright"), 1, 0.1, 1.0, 0.5, 0.01),
    ),
    np.zeros(DIMS, np.float32),
    np.ones(DIMS, np.float32),
    np.eye(DIMS, 3, dtype=np.float32),
    np.zeros((3, 4), np.float32),
)


def target(port=9, components=4):
    return OscTarget("127.0.0.1", port, PrincipalAxes.of(EMBEDDINGS, components), PATTERNS, 20)


def percept(trial=7, confidence=0.5):
    near = (Neighbour("cat-1", "cat", 0.25),)
    return Percept(trial, "cat-1", EMBEDDINGS[3], 2, confidence, near, decided=True, two_way=0.75)


def messages(packet):
    """What is in an OSC 1.0 packet, read by the letter of its specification."""
    if packet.startswith(b"#bundle\x00"):
        found, place = [], 16
        while place < len(packet):
            (size,) = struct.unpack_from(">i", packet, place)
            found += messages(packet[place + 4 : place + 4 + size])
            place += 4 + size
        return found

    def text(place):
        end = packet.index(b"\x00", place)
        return packet[place:end].decode(), (end // 4 + 1) * 4

    address, place = text(0)
    kinds, place = text(place)
    values = []
    for kind in kinds[1:]:
        if kind == "s":
            value, place = text(place)
        else:
            (value,) = struct.unpack_from({"i": ">i", "f": ">f"}[kind], packet, place)
            place += 4
        values.append(value)
    assert place == len(packet)
    return [(address, values)]


def test_principal_components_are_those_of_the_gallery():
    axes = PrincipalAxes.of(EMBEDDINGS, 5)
    values = np.array([axes(one) for one in EMBEDDINGS])
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(values.T), np.eye(5), atol=1e-4)
    _, lengths, _ = np.linalg.svd(EMBEDDINGS - EMBEDDINGS.mean(axis=0))
    np.testing.assert_allclose(1 / np.linalg.norm(axes.axes, axis=1), lengths[:5] / np.sqrt(59), rtol=1e-4)
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in axes.axes)


@pytest.mark.parametrize(("pictures", "components", "kept"), [(60, 0, 0), (60, 64, DIMS), (3, 8, 2), (1, 8, 0)])
def test_there_are_no_more_components_than_pictures_tell(pictures, components, kept):
    assert len(PrincipalAxes.of(EMBEDDINGS[:pictures], components)(EMBEDDINGS[0])) == kept


def test_what_is_not_known_is_said_to_be_not_known():
    words = dict(osc_words(Percept(1, None, EMBEDDINGS[0], 1, None, ()), target()))
    assert words["picture"] == words["label"] == ("",)
    assert words["confidence"] == words["two_way"] == words["similarity"] == (UNKNOWN,)


def test_addresses_are_those_that_are_documented():
    told = [
        percept(),
        Frame(7, 1, 4, np.zeros((2, 2, 3), np.uint8), {}, 1),
        Event("refused", {"trial": 8, "reason": "12 samples lost", "because": "lost-samples"}),
        Event("notice", {"notice": "lost", "text": "the renderer died"}),
        StateMessage.now(state="running", version="1", details={}),
    ]
    said = [word for what in told for word in osc_words(what, target())]
    kinds = {str: "s", int: "i", float: "f"}
    table = re.findall(r"^\| `/perceptogram/(\S+)` \| `([sif]+)`", PAGE.read_text(), re.MULTILINE)
    documented = {re.sub("NAME", "[a-z_]+", address): re.sub("f+$", "f+", types) for address, types in table}
    assert len(documented) == len(table) >= 15
    for address, arguments in said:
        types = "".join(kinds[type(one)] for one in arguments)
        assert any(re.fullmatch(a, address) and re.fullmatch(t, types) for a, t in documented.items()), (address, types)
    for address in documented:
        assert any(re.fullmatch(address, one) for one, _ in said), f"{address} is never said"


@pytest.mark.processes
def test_a_percept_arrives_as_one_packet():
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(20)
        with Control(ControlSettings(), "P01", targets=(target(ear.getsockname()[1]),)) as control:
            control.set_state("running")
            control.publish(percept())
            control.publish(Frame(7, 4, 4, np.zeros((2, 2, 3), np.uint8), {}, 1))
            heard = [messages(ear.recv(65536)) for _ in range(3)]
            assert control.status.dropped == 0
    assert heard[0] == [(f"{ROOT}/state", ["running"])]
    said = dict(heard[1])
    assert said[f"{ROOT}/trial"] == [7]
    assert said[f"{ROOT}/label"] == ["cat"]
    assert said[f"{ROOT}/confidence"] == [0.5]
    assert said[f"{ROOT}/chance"] == pytest.approx([0.05])
    np.testing.assert_allclose(said[f"{ROOT}/embedding"], target().axes(EMBEDDINGS[3]), rtol=1e-5)
    level, *values = said[f"{ROOT}/attribute/main_hue"]
    assert level in ("red", "green", "blue")
    np.testing.assert_allclose(values, EMBEDDINGS[3][:2], rtol=1e-6)
    assert heard[2] == [(f"{ROOT}/frame", [7, 4, 4])]


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("oscdump") is None, reason="liblo is not installed: apt-get install liblo-tools")
def test_liblo_hears_the_same():
    port = free_port()
    ears = subprocess.Popen(["oscdump", "-L", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with Control(ControlSettings(), "P01", targets=(target(port),)) as control:
            told = ""
            while f"{ROOT}/attribute/brightness" not in told:
                control.publish(percept())
                if select.select([ears.stdout], [], [], 0.5)[0]:
                    told += ears.stdout.readline()
    finally:
        ears.kill()
        ears.communicate()
    assert f'{ROOT}/label s "cat"' in told
    assert f"{ROOT}/confidence f 0.500000" in told


def test_a_program_that_is_nowhere_is_one_line():
    class OfBundle:
        patterns = None

    with pytest.raises(InputError, match=r"outputs: udp://no\.such\.host\.invalid:9000 cannot be reached"):
        osc_targets([OutputSettings(osc="udp://no.such.host.invalid:9000")], OfBundle(), 1)
    with pytest.raises(InputError, match=r"outputs\.0\.osc"):
        parse_config({"outputs": [{"osc": "http://127.0.0.1:9000"}]}, "lab.yaml")
