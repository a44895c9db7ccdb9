"""A board as BrainFlow has it: opened, read, and its errors in one line that says what to do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from realtime.sources.base import StreamSpec
from realtime.sources.metadata import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUFFER_S = 30
"""Seconds of samples that BrainFlow keeps for a reader that is late."""
COUNTERS = {
    "SYNTHETIC_BOARD": 256,
    "CYTON_BOARD": 256,
    "CYTON_DAISY_BOARD": 256,
    "CYTON_WIFI_BOARD": 256,
    "CYTON_DAISY_WIFI_BOARD": 256,
    "PLAYBACK_FILE_BOARD": 256,
}
"""After how many packages the counter begins again, where that is known."""
ADVICE = {
    "UNABLE_TO_OPEN_PORT_ERROR": "its port does not open: plug in the dongle, set stream.board_settings.serial_port "
    "(ls /dev/ttyUSB* /dev/ttyACM*), and be in the group that owns it (dialout)",
    "PORT_ALREADY_OPEN_ERROR": "its port is in use: close the other program that reads the board",
    "SET_PORT_ERROR": "its port cannot be set up: unplug the dongle and plug it in again",
    "BOARD_NOT_READY_ERROR": "it does not answer: switch it on, charge it, bring it nearer, and reset it",
    "BOARD_WRITE_ERROR": "it takes no commands: switch it off and on, and plug the dongle in again",
    "INITIAL_MSG_ERROR": "it does not say hello: switch it off and on, and check that it is the board that you named",
    "INVALID_ARGUMENTS_ERROR": "its settings do not suffice: see stream.board_settings in docs/headsets.md",
    "UNSUPPORTED_BOARD_ERROR": "BrainFlow does not know it on this system",
    "SYNC_TIMEOUT_ERROR": "it was not found in time: switch it on and bring it nearer",
    "ANOTHER_BOARD_IS_CREATED_ERROR": "another program reads it: close that",
    "STREAM_ALREADY_RUN_ERROR": "another program reads it: close that",
}


@dataclass(frozen=True)
class BoardSamples:
    """What came since the last look.

    Attributes
    ----------
    counts
        int64 ``[n]``: the package counter; None where the board has none.
    host
        float64 ``[n]``: Unix time at which the host had each sample, in seconds.
    microvolts
        float32 ``[n, channels]``.
    """

    counts: NDArray[np.int64] | None
    host: NDArray[np.float64]
    microvolts: NDArray[np.float32]


def load_brainflow() -> Any:
    """Return BrainFlow's module of boards.

    Raises
    ------
    SourceError
        If it is not installed.
    """
    try:
        from brainflow import board_shim
    except ImportError as error:
        msg = "a board needs BrainFlow, which is not installed: pip install 'perceptogram-live[boards]'"
        raise SourceError(msg) from error
    # BrainFlow 5.23 looks for its library beside a module, as Python 3.12 can, and else asks for an old setuptools.
    board_shim.files = lambda _module: resources.files("brainflow")
    board_shim.BoardShim.disable_board_logger()
    return board_shim


class Board:
    """A board that samples, while the context is open.

    Parameters
    ----------
    name
        As BrainFlow calls it: ``CYTON_BOARD``, ``GANGLION_BOARD``, ``SYNTHETIC_BOARD``, ...
    settings
        BrainFlow's input parameters: ``serial_port``, ``mac_address``, ``ip_address``, ``file``, ...

    Attributes
    ----------
    rate_hz, channels
        What it samples.
    modulus
        After how many packages its counter begins again; None where that is not known.

    Raises
    ------
    SourceError
        If there is no such board or setting; on entering, if the board is not ready.
    """

    def __init__(self, name: str, settings: Mapping[str, str | int]) -> None:
        shim = load_brainflow()
        known = [board.name for board in shim.BoardIds]
        if name not in known:
            msg = f"stream.board {name!r} is no board of BrainFlow's: {', '.join(known[1:])}"
            raise SourceError(msg)
        parameters = shim.BrainFlowInputParams()
        for key, value in settings.items():
            if not hasattr(parameters, key):
                listed = ", ".join(sorted(vars(parameters)))
                msg = f"stream.board_settings.{key} is no setting of BrainFlow's: {listed}"
                raise SourceError(msg)
            kind = type(getattr(parameters, key))
            setattr(parameters, key, _board_id(shim, value) if key == "master_board" else kind(value))
        self.name, self._shim = name, shim
        number = shim.BoardIds[name].value
        described = parameters.master_board if name == "PLAYBACK_FILE_BOARD" else number
        try:
            self._rows = shim.BoardShim.get_board_descr(described)
        except shim.BrainFlowError as error:
            msg = f"stream.board {name}: BrainFlow does not describe it; a playback needs board_settings.master_board"
            raise SourceError(msg) from error
        if "eeg_channels" not in self._rows:
            msg = f"stream.board {name} has no EEG"
            raise SourceError(msg)
        self._eeg = list(self._rows["eeg_channels"])
        self.rate_hz = float(self._rows["sampling_rate"])
        told = self._rows.get("eeg_names", "").split(",")
        self.channels = tuple(told if len(told) == len(self._eeg) else map(str, range(1, len(self._eeg) + 1)))
        self.modulus = COUNTERS.get(name)
        self._number, self._parameters = number, parameters
        self._board: Any = None

    def spec(self, name: str, source_id: str) -> StreamSpec:
        """Return the stream that it makes, under a name of its own."""
        return StreamSpec(name, "EEG", source_id, self.rate_hz, self.channels)

    def __enter__(self) -> Self:
        try:
            self._board = self._shim.BoardShim(self._number, self._parameters)
            self._board.prepare_session()
            self._board.start_stream(round(BUFFER_S * self.rate_hz))
        except self._shim.BrainFlowError as error:
            self._release()
            raise SourceError(self._said(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def read(self) -> BoardSamples:
        """Return what came since the last look.

        Raises
        ------
        SourceError
            If the board can no longer be read.
        """
        try:
            table = self._board.get_board_data()
        except self._shim.BrainFlowError as error:
            raise SourceError(self._said(error)) from error
        row = self._rows.get("package_num_channel")
        counts = None if row is None else np.rint(table[row]).astype(np.int64)
        return BoardSamples(counts, table[self._rows["timestamp_channel"]], table[self._eeg].T.astype(np.float32))

    def _release(self) -> None:
        # BrainFlow's object releases whatever has its settings when it goes: it must not outlive what it has opened.
        board, self._board = self._board, None
        try:
            if board is not None and board.is_prepared():
                board.release_session()
        except self._shim.BrainFlowError:
            time.sleep(0.1)  # a board that was unplugged has nothing to release

    def _said(self, error: Any) -> str:
        """Return what is wrong and what to do."""
        code = getattr(error, "exit_code", None)
        name = next((one.name for one in self._shim.BrainFlowExitCodes if one.value == code), "an unknown error")
        return f"board {self.name}: {ADVICE.get(name, f'BrainFlow says {name}')}"


def _board_id(shim: Any, value: str | int) -> int:
    known = {board.name: board.value for board in shim.BoardIds}
    return int(known.get(str(value), value))
