"""The process that saves pictures, each beside what was shown: to draw and pack them takes longer than EEG may wait."""

from __future__ import annotations

import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from realtime.companion import STOP, Companion
from realtime.contact_sheet import side_by_side
from stimuli.pictures import open_pictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from configs.schema import PictureSettings

WAITING = 200
"""Pictures that may wait; the oldest is dropped for one more."""
FLUSH_S = 60.0


class PictureWriter:
    """Saves pictures without being waited for, until `close` waits for those that are left.

    Parameters
    ----------
    folder
        Where they go.
    pictures
        The set from which pictures were shown.
    """

    def __init__(self, folder: Path, pictures: PictureSettings) -> None:
        self._companion = Companion("pictures", write_pictures, (folder, pictures), {"picture": WAITING}, _hear)
        self._started = False

    def save(self, name: str, image: NDArray[np.uint8], shown: str | None) -> None:
        """Leave `image` to be saved as `name`, beside the picture `shown` where the set has it."""
        if not self._started:
            self._companion.start()
            self._started = True
        self._companion.put("picture", (name, image, shown))

    def close(self) -> None:
        """Wait until everything is saved. Safe to call twice."""
        self._companion.stop(FLUSH_S)


def write_pictures(inbox: Connection, _reports: Connection, folder: Path, settings: PictureSettings) -> None:
    """Save what comes until `STOP`, or until the session is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's to handle; it then ends this process
    pictures = open_pictures(settings)
    known = frozenset(pictures.names)
    try:
        while (item := inbox.recv()) != STOP:
            name, image, shown = item
            drawn = Image.fromarray(image)
            if shown in known:
                drawn = side_by_side(pictures.image(shown, image.shape[0]), image)
            part = folder / (name + ".part")
            drawn.save(part, format="PNG")
            part.rename(folder / name)
    except EOFError:
        return


def _hear(_report: object) -> None:
    """Take nothing: this companion has nothing to say."""
