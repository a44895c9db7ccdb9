"""Markers that are no stimulus: where none is, the settings name what the sender does not send."""

from __future__ import annotations

from collections import Counter

from configs.schema import MarkerSettings

HOW = 'send {"kind": "picture", "picture": "NAME"} for each, or set markers.classes'
MOST = 8
"""Kinds of marker that are listed."""


class Unmatched:
    """Counts markers until one is a stimulus, and says once what came instead.

    Parameters
    ----------
    settings
        Which labels are stimuli.
    """

    def __init__(self, settings: MarkerSettings) -> None:
        self._settings = settings
        self._kinds: Counter[str] = Counter()
        self._first = 0.0
        self._done = False

    def add(self, kind: str, now: float, *, is_stimulus: bool) -> None:
        """Take note of a marker.

        Parameters
        ----------
        kind
            Its label.
        now
            When it came, in seconds on this machine's clock; its own timestamp may be of another.
        is_stimulus
            Whether the settings take it for one; the first that is ends the counting.
        """
        if not self._kinds:
            self._first = now
        self._kinds[kind] += 1
        self._done = self._done or is_stimulus

    def waited_s(self, now: float) -> float:
        """Return for how long markers have come of which none was a stimulus; 0 where there is nothing to say."""
        return 0.0 if self._done or not self._kinds else now - self._first

    def tell(self) -> str | None:
        """Return one line where no marker has been a stimulus, the first time."""
        if self._done:
            return None
        self._done = True
        classes = self._settings.classes
        wanted = f"one of markers.classes ({', '.join(classes)})" if classes else f"a picture; {HOW}"
        if not self._kinds:
            return f"no marker came, so nothing was decoded: none was {wanted}" if self._settings.required else None
        listed = ", ".join(f"{kind!r} ({count})" for kind, count in self._kinds.most_common(MOST))
        more = f" and {len(self._kinds) - MOST} more kinds" if len(self._kinds) > MOST else ""
        return f"no marker is {wanted}; there are {listed}{more}"
