import os

from realtime import lsl_config


def test_loopback_keeps_to_this_machine_and_apart_from_others(tmp_path, monkeypatch):
    monkeypatch.setenv(lsl_config.VARIABLE, "elsewhere")
    text = lsl_config.loopback("mine")
    lsl_config.use(text, tmp_path / "lsl.cfg")
    assert os.environ[lsl_config.VARIABLE] == str(tmp_path / "lsl.cfg")
    assert (tmp_path / "lsl.cfg").read_text() == text
    assert "AddressesOverride = {127.0.0.1}" in text
    assert "SessionID = mine" in text
    assert lsl_config.loopback() != lsl_config.loopback(), "each its own session"
