"""What every answer of the page's server bears: headers by which a browser takes nothing from elsewhere."""

from __future__ import annotations

from starlette.responses import Response

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def json_answer(content: bytes) -> Response:
    """Return JSON as an answer."""
    return Response(content, 200, HEADERS, "application/json")


def plain_answer(text: str, status: int) -> Response:
    """Return a line as an answer."""
    return Response(text + "\n", status, HEADERS, "text/plain")
