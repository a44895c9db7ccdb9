"""What people's editors make of a configuration, and what no configuration would be."""

import time
from pathlib import Path

import numpy as np
import pytest

from configs.errors import ConfigError
from configs.schema import PRESETS, load_config


@pytest.fixture
def write(tmp_path):
    def write(content):
        (tmp_path / "lab.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "lab.yaml"

    return write


def doubling(levels):
    return "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, levels))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "name: M\u00fcller\n".encode("cp1252"),
            r"config .*lab\.yaml is not UTF-8 \(byte 7 is 0xfc\): save it as UTF-8",
        ),
        ("name: lab\n".encode("utf-16"), "is not UTF-8"),
        ("stream:\n\tname: amp\n", r"line 2, column 1: a tab; indent with spaces"),
        ("a: [1,", "is not valid YAML: line 1"),
        ("a: &a [*a]", "more than 10000 values"),
        (doubling(30), "more than 10000 values"),
        ("[" * 1000, "is not valid YAML"),
        ("a: 2001-99-99", "is not valid YAML: month must be in"),
        ("a: !!int ''", "is not valid YAML"),
        ("a: !!bool x", "is not valid YAML"),
        ("x" * 100_001, "100001 bytes, which no configuration needs"),
        ("stream: {timeout_s: .inf}", r"stream\.timeout_s: .*finite number"),
        ("markers: {offset_s: .nan}", r"markers\.offset_s: .*finite number"),
        ('"a\\nb": 1', r"config .*: 'a\\nb': unknown key"),
        (f"stream: {{unit: {'u' * 500}}}", r"given: 'u+\.\.\.u+'"),
        ("control: {url: http:127.0.0.1}", r"control\.url: give mqtt://host:port or mqtts://host:port \(given: .*127"),
    ],
)
def test_what_is_no_configuration_is_refused_in_one_line_and_at_once(write, content, says):
    begun = time.monotonic()
    with pytest.raises(ConfigError, match=says) as refused:
        load_config(write(content))
    assert time.monotonic() - begun < 10
    assert "\n" not in str(refused.value)


def test_a_mark_of_byte_order_and_aliases_are_read(write):
    assert load_config(write("\ufeffname: lab")).name == "lab"
    assert load_config(write("pictures: {seed: &s 3}\nfit: {seed: *s}")).fit.seed == 3


def test_a_folder_of_the_name_does_not_hide_a_preset_but_a_file_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    assert load_config("demo").name == "demo"
    Path("demo.yaml").write_text("name: mine")
    assert load_config("demo.yaml").name == "mine"


@pytest.mark.parametrize("name", [".", "x" * 300, "no[/such].yaml"])
def test_what_cannot_be_opened_is_told_with_the_presets(name):
    with pytest.raises(ConfigError, match=r"cannot read config .* or a preset: .*demo"):
        load_config(name)


def test_mutated_configurations_are_read_or_refused_a_line_a_fault(write):
    rng = np.random.default_rng(11)
    presets = [file.read_text(encoding="utf-8") for file in sorted(PRESETS.glob("*.yaml"))]
    pieces = [
        ": ",
        "[",
        "{",
        "&a ",
        "*a",
        "- ",
        "\t",
        "!!int ",
        "\n",
        '"',
        "999999999999",
        "-1",
        ".inf",
        "null",
        "\x00",
    ]
    read, refused = 0, []
    for _ in range(250):
        text = presets[rng.integers(len(presets))]
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(text)))
            text = text[:place] + pieces[rng.integers(len(pieces))] + text[place + int(rng.integers(3)) :]
        try:
            load_config(write(text))
            read += 1
        except ConfigError as error:
            refused.append(str(error))
    assert read > 10
    assert len(refused) > 100
    assert all(line.startswith("config ") for told in refused for line in told.splitlines())
