import shutil
import socket
import subprocess
import sys
import threading

import pytest

from configs.schema import ControlSettings
from realtime.doctor import machine
from realtime.mqtt.address import Address, broker_address
from tests.support.mosquitto import MOSQUITTO, Mosquitto


@pytest.mark.processes
def test_lsl_is_found_and_reads_itself_on_loopback():
    check = machine.check_discovery()
    assert check.status in ("ok", "warning"), check
    assert " 0 of 100 samples lost" in check.found


@pytest.mark.processes
def test_both_copies_of_liblsl_tell_their_version():
    for check in (machine.check_pylsl(), machine.check_mne_lsl()):
        assert check.status == "ok", check
        assert check.found[0] == "1"


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch):
    monkeypatch.setattr(
        machine.metadata, "requires", lambda _name: ["numpy>=2", "numpy>=99", "no-such-package", "x; extra == 'dev'"]
    )
    check = machine.check_packages()
    assert check.status == "broken"
    assert "no-such-package is missing" in check.found
    assert "is not >=99" in check.found
    monkeypatch.setattr(machine.metadata, "requires", lambda _name: ["numpy>=2"])
    assert machine.check_packages().status == "ok"


def test_a_disk_is_measured_and_left_clean(tmp_path):
    check = machine.check_disk(tmp_path)
    assert "MB/s" in check.found
    assert list(tmp_path.iterdir()) == []
    assert machine.check_disk(tmp_path / "absent").status == "broken"


@pytest.mark.parametrize(
    ("reply", "status", "told"),
    [
        (b"\x20\x02\x00\x00", "ok", "answers in"),
        (b"\x20\x02\x00\x05", "warning", "refuses anonymous clients (not allowed)"),
        (b"HTTP", "warning", "not an MQTT broker"),
    ],
)
def test_a_broker_is_told_from_what_only_listens(reply, status, told):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                assert connection.recv(64)[:8] == b"\x10\x0c\x00\x04MQTT"[:8]
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        check = machine.check_broker(Address("127.0.0.1", server.getsockname()[1]))
        thread.join()
    assert (check.status, told in check.found) == (status, True), check


@pytest.mark.processes
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_broker_is_asked_with_the_credentials_that_the_settings_name(tmp_path):
    lists = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-c", "-b", lists, "anna", "p" * 200], check=True, timeout=60)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {lists}").start()
    try:
        for password, status in (("p" * 200, "ok"), ("wrong", "warning")):
            (tmp_path / "secret").write_text(f"anna\n{password}\n")
            control = ControlSettings(url=broker.url, credentials=tmp_path / "secret")
            check = machine.check_broker(broker_address(control))
            assert (check.status, f":{broker.port}" in check.name) == (status, True), check
        assert "the user anna" in check.found
    finally:
        broker.kill()


def test_no_broker_is_a_warning_that_says_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    check = machine.check_broker(Address("127.0.0.1", port), timeout_s=0.5)
    assert check.status == "warning"
    assert "mosquitto" in check.advice


def test_the_gpu_check_always_answers():
    assert "torch" in machine.check_gpu().found


def test_multicast_is_tried_and_told():
    check = machine.check_multicast()
    assert check.status in ("ok", "warning"), check
    assert ("comes back in" in check.found) == (check.status == "ok")
    assert check.status == "ok" or "KnownPeers" in check.advice


@pytest.mark.processes
def test_without_a_screen_flips_are_not_judged_and_nothing_is_said_between_the_lines(monkeypatch, capfd):
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    check = machine.check_screen()
    assert (check.status, check.found[:3]) == ("ok", "n/a")
    assert capfd.readouterr().err == ""


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="Xvfb is not installed")
def test_a_virtual_screen_is_no_screen():
    look = "from realtime.doctor.machine import check_screen; print(check_screen())"
    command = ["xvfb-run", "-a", sys.executable, "-P", "-c", f"if __name__ == '__main__': {look}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "status='ok', found='n/a, no screen that refreshes (x11)'" in found.stdout, found.stderr


@pytest.mark.processes
def test_every_line_of_the_doctor_says_what_to_do_unless_all_is_well(tmp_path):
    checks = machine.check_all(tmp_path, ControlSettings(url="mqtt://localhost:1"))
    assert checks[-1].name == "MQTT broker at localhost:1"
    assert {"liblsl of pylsl", "LSL on this machine", "LSL on the network", "screen", "GPU"} <= {c.name for c in checks}
    assert all(check.advice for check in checks if check.status != "ok")
