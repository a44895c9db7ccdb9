"""What a page needs to show pictures itself: the experiment, the session's pictures, and a socket for markers."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from realtime.web.answers import HEADERS, json_answer, plain_answer
from realtime.web.markers import PageMarkers
from stimuli.picture_set import SPLITS, PictureError
from stimuli.pictures import open_pictures

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from configs.schema import Config, PictureSettings
    from realtime.web.page_clock import ClockFit
    from stimuli.markers import Marker
    from stimuli.picture_set import PictureSet, Split

MOST_PAGES = 8
"""Pages that may send markers at the same time."""


@dataclass(frozen=True)
class Stage:
    """Pages may show the pictures.

    Attributes
    ----------
    pictures
        Which pictures they can ask for by name.
    folder
        The experiment's own files; None where another site has them.
    """

    pictures: PictureSettings
    folder: Path | None = None

    @classmethod
    def of(cls, config: Config) -> Stage | None:
        """Return what the settings say; None where no page sends markers."""
        web = config.web
        return cls(config.pictures, web.experiment) if web.enabled and web.markers else None

    def file(self, path: str) -> Path | None:
        """Return a file of the experiment, ``index.html`` for the empty path; None where there is no such file."""
        if self.folder is None or "\0" in path or any(part.startswith(".") for part in path.split("/")):
            return None
        root = self.folder.resolve()
        found = (root / (path or "index.html")).resolve()
        return found if found.is_relative_to(root) and found.is_file() else None


class StageRoutes:
    """Serves a stage beside the page.

    Parameters
    ----------
    stage
        What is served.
    clock
        The LSL clock.
    mark
        Takes each marker, in the thread of the page's server.
    tell
        Takes what is known of the clock of a page, and the page's address.
    """

    def __init__(
        self,
        stage: Stage,
        clock: Callable[[], float],
        mark: Callable[[Marker], None],
        tell: Callable[[str, ClockFit], None],
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._mark = mark
        self._tell = tell
        self._pages = 0

    def routes(self) -> list[BaseRoute]:
        """Return what is served, by path."""
        return [
            WebSocketRoute("/markers", self._markers),
            Route("/stimuli.json", self._names),
            Route("/stimuli/{name:path}", self._picture),
            Route("/experiment", self._enter),
            Route("/experiment/{path:path}", self._file),
        ]

    async def _markers(self, socket: WebSocket) -> None:
        if self._pages >= MOST_PAGES:
            await socket.send_denial_response(plain_answer("too many pages send markers", 503))
            return
        self._pages += 1
        try:
            await socket.accept()
            page = socket.client.host if socket.client is not None else "unknown"
            await PageMarkers(self._clock, self._mark, functools.partial(self._tell, page)).serve(socket)
        finally:
            self._pages -= 1

    async def _names(self, request: Request) -> Response:
        split = request.query_params.get("split", "all")
        try:
            return json_answer(await asyncio.to_thread(_listing, self._stage.pictures, split))
        except PictureError as error:
            return plain_answer(str(error), 404)

    async def _picture(self, request: Request) -> Response:
        try:
            content = await asyncio.to_thread(_png, self._stage.pictures, request.path_params["name"])
        except PictureError as error:
            return plain_answer(str(error), 404)
        return Response(content, 200, HEADERS, "image/png")

    async def _enter(self, _request: Request) -> Response:
        return RedirectResponse("/experiment/", 308, HEADERS)

    async def _file(self, request: Request) -> Response:
        file = self._stage.file(request.path_params["path"])
        if file is None:
            return plain_answer("the experiment has no such file", 404)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return FileResponse(file, 200, HEADERS, kind)


def _listing(settings: PictureSettings, split: str) -> bytes:
    known = next((one for one in SPLITS if one == split), None)
    if known is None:
        msg = f"there is no split {split!r}: choose one of {', '.join(SPLITS)}"
        raise PictureError(msg)
    pictures = _opened(settings, known)
    return json.dumps([{"name": name, "label": pictures.label(name)} for name in pictures.names]).encode()


def _png(settings: PictureSettings, name: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(_opened(settings, "all").image(name)).save(file, "PNG", compress_level=1)
    return file.getvalue()


@functools.cache
def _opened(settings: PictureSettings, split: Split) -> PictureSet:
    return open_pictures(settings, split)
