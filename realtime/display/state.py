"""What a display says, whoever looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from realtime.decoding.filtered_patterns import HeadPattern
    from realtime.rendering.messages import RenderState


@dataclass(frozen=True, eq=False)
class Similar:
    """A picture of the gallery near the percept; where it is only named, the window looks it up."""

    image: NDArray[np.uint8] | None
    label: str
    similarity: float
    name: str = ""


@dataclass(frozen=True, eq=False)
class DisplayState:
    """Everything that the display says.

    Attributes
    ----------
    title
        Name of the session.
    simulated
        Whether the EEG is simulated; the display then says so.
    trial
        Trial that the reconstruction belongs to.
    picture
        Reconstruction, uint8 ``[h, w, 3]``; None before the first.
    step, of
        How far the reconstruction is.
    gliding
        Whether it lies between two percepts and is no reconstruction of either.
    at_s, preview
        Time after onset, in seconds, until which the window behind it was read, None for all of it; and whether the
        trial's own picture is still to come.
    shown, shown_label, shown_name
        What the participant saw, where it is known; where it is only named, the window looks it up.
    nearest
        Nearest pictures, nearest first; the first five are shown.
    confidence
        Probability that the nearest picture is right; None where it was not calibrated.
    abstain_below
        Confidence under which the display says "not enough evidence" instead of showing a picture.
    repeats
        How many trials stand behind the percept.
    two_way, pre_stimulus_two_way
        Share of wrong pictures that the percepts so far were less like than the right one, and the same for the windows
        before the stimuli, in which no picture can be; both 0.5 by chance, None where they are not known.
    data_timestamp
        LSL clock time of the newest sample; None before the first.
    stall_s
        Age of the newest sample from which on the amplifier counts as stalled.
    notice
        One line of warning, such as a source's notice.
    renderer
        How the renderer is.
    ledger
        The percept's times by stage, in seconds on the LSL clock.
    quality
        Signal quality of each channel, 0 (bad) to 1 (good); None where it is not known.
    paused
        Whether the session is paused.
    patterns
        What the percept stands for at the electrodes, one head an attribute, of which the first four are shown in the
        place of the delays; None where they are not asked for, empty where there are none.
    electrodes
        Names of the electrodes that the patterns are of.
    labels
        Whether what is told apart has no pictures: the nearest label stands in the picture's place.
    """

    title: str = "Perceptogram Live"
    simulated: bool = False
    trial: int | None = None
    picture: NDArray[np.uint8] | None = None
    step: int = 0
    of: int = 0
    gliding: bool = False
    shown: NDArray[np.uint8] | None = None
    shown_label: str = ""
    shown_name: str = ""
    nearest: tuple[Similar, ...] = ()
    confidence: float | None = None
    abstain_below: float = 0.0
    repeats: int = 0
    two_way: float | None = None
    pre_stimulus_two_way: float | None = None
    data_timestamp: float | None = None
    stall_s: float = 0.5
    notice: str = ""
    renderer: RenderState | None = None
    ledger: Mapping[str, float] = field(default_factory=dict)
    quality: Mapping[str, float | None] = field(default_factory=dict)
    paused: bool = False
    patterns: tuple[HeadPattern, ...] | None = None
    electrodes: tuple[str, ...] = ()
    candidates: int | None = None
    labels: bool = False
    at_s: float | None = None
    preview: bool = False

    def looks_like(self, other: DisplayState) -> bool:
        """Return whether `other` says the same, the time of the newest sample apart."""
        for name in _SAYS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not theirs and (name in _IMAGES or mine != theirs):
                return False
        return True

    @property
    def abstains(self) -> bool:
        """Whether there is too little evidence to show a picture."""
        return self.confidence is not None and self.confidence < self.abstain_below


_IMAGES = ("picture", "shown")
_SAYS = tuple(field.name for field in fields(DisplayState) if field.name != "data_timestamp")
