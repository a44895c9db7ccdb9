"""The topics of a session."""

from __future__ import annotations

from dataclasses import dataclass


def topic_name(name: str) -> str:
    """Return `name` with what a topic cannot hold replaced by ``-``."""
    sendable = name.encode("utf-8", "replace").decode("utf-8")
    return "".join("-" if letter in "/+#\x00" else letter for letter in sendable).strip() or "session"


@dataclass(frozen=True)
class Topics:
    """Topics of one session: ``<root>/v1/<session>/<component>/{cmd,ack,state,event}``."""

    root: str
    session: str

    def of(self, component: str, what: str) -> str:
        """Return one topic."""
        return f"{self.root}/v1/{self.session}/{component}/{what}"
