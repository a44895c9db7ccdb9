"""Who may open the page: the host that was asked for, the site that asks, and the token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Literal
from urllib.parse import urlsplit

from realtime.mqtt.address import is_loopback

COOKIE = "perceptogram"
Refusal = Literal[401, 403, 421]


class Access:
    """Judges requests by their headers.

    Without a token only names of this machine are answered, so that no other site can have a browser come here under a
    name of its own (DNS rebinding). With one, the cookie does that. A page of another site is refused either way.

    Parameters
    ----------
    token
        What a browser must know; None where the page is for this machine alone.
    origins
        Other sites whose pages may come in.
    """

    def __init__(self, token: str | None, origins: tuple[str, ...] = ()) -> None:
        self._token = None if token is None else token.encode()
        self._origins = frozenset(origins)
        self._cookie = (
            "" if token is None else hmac.new(token.encode(), b"perceptogram page", hashlib.sha256).hexdigest()
        )

    def refuses(self, headers: Mapping[str, str]) -> Refusal | None:
        """Return why a request with these `headers`, in lower case, is refused; None where it is not.

        421: asked for under a strange name; 403: by a page of another site; 401: without the token.
        """
        refusal = self.refuses_site(headers)
        return 401 if refusal is None and not self._known(headers) else refusal

    def refuses_site(self, headers: Mapping[str, str]) -> Refusal | None:
        """Return why a request is refused, whatever it knows."""
        host = headers.get("host", "")
        if self._token is None and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return 421
        origin = headers.get("origin")
        if origin is not None:
            return None if origin in self._origins or _authority(origin) == host.casefold() else 403
        elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        return 403 if elsewhere and headers.get("sec-fetch-mode") != "navigate" else None

    def login(self, token: str) -> str | None:
        """Return the cookie's value for who knows the token; None for who does not."""
        right = self._token is not None and hmac.compare_digest(token.encode("utf-8", "replace"), self._token)
        return self._cookie if right else None

    def _known(self, headers: Mapping[str, str]) -> bool:
        if self._token is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer":
            return self.login(token.strip()) is not None
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode("utf-8", "replace"), self._cookie.encode())


def _authority(origin: str) -> str:
    """Return host and port of an origin as a Host header has them."""
    parts = urlsplit(origin)
    return parts.netloc.casefold() if parts.scheme in ("http", "https") else ""
