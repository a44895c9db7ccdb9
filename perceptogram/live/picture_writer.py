"""The process that saves pictures, each beside what was shown: to draw and pack them takes longer than EEG may wait."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from configs.files import whole_file
from realtime.display.contact_sheet import side_by_side
from realtime.processes.companion import STOP, Companion
from realtime.processes.signals import leave_to_session
from realtime.processes.supervised import Connection, Reports
from stimuli.picture_set import PictureError
from stimuli.pictures import open_pictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from configs.schema import PictureSettings

logger = logging.getLogger(__name__)

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
    tell
        Called, in a thread of its own, with a line when pictures cannot be saved any more, and when they can again.
    """

    def __init__(self, folder: Path, pictures: PictureSettings, tell: Callable[[str], None] = logger.warning) -> None:
        self._companion = Companion("pictures", write_pictures, (folder, pictures), {"picture": WAITING}, tell)
        self._companion.tell = tell
        self._started = False

    def save(self, name: str, image: NDArray[np.uint8], shown: str | None) -> None:
        """Leave a picture to be saved, without waiting for it.

        Parameters
        ----------
        name
            Name of the file in the folder.
        image
            uint8 ``[h, w, 3]``.
        shown
            The picture that was shown, put beside it where the set has it.
        """
        if not self._started:
            self._companion.start()
            self._started = True
        self._companion.put("picture", (name, image, shown))

    def close(self) -> None:
        """Wait until everything is saved. Safe to call twice."""
        self._companion.stop(FLUSH_S)


def write_pictures(inbox: Connection, folder: Path, settings: PictureSettings) -> None:
    """Save what comes until `STOP`, or until the session is gone.

    Parameters
    ----------
    inbox
        Names, images and what was shown, one by one; it carries reports back.
    folder
        Where to save them.
    settings
        The set that holds what was shown.
    """
    leave_to_session()
    reports = Reports(inbox)  # a slow disk may take any time
    pictures = open_pictures(settings)
    known = frozenset(pictures.names)
    lost = 0
    try:
        while (item := inbox.recv()) != STOP:
            name, image, shown = item
            drawn = Image.fromarray(image)
            try:
                if shown in known:
                    drawn = side_by_side(pictures.image(shown, image.shape[0]), image)
                with whole_file(folder / name) as part:
                    drawn.save(part, format="PNG")
            except (OSError, PictureError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else error
                if not lost:
                    reports.say(f"pictures are not saved any more: cannot write {name} ({reason})")
                lost += 1
            else:
                if lost:
                    reports.say(f"pictures are saved again; {lost} were not")
                lost = 0
    except (EOFError, OSError):
        return  # the session is gone
    if lost:
        reports.say(f"{lost} pictures were not saved")
    reports.close(1.0)
