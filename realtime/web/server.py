"""The page's server: a thread with a loop of its own, which nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from realtime.electrodes import electrode_positions
from realtime.mqtt.link import Letter
from realtime.web.access import COOKIE, Access
from realtime.web.answers import HEADERS, json_answer, plain_answer
from realtime.web.hub import Client, Hub

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from realtime.web.door import Door

MOST_BYTES = 1 << 13
"""Bytes of the longest message from a page; a longer one ends its connection."""
MOST_LOGIN_BYTES = 1 << 10
BAD_COMMANDS = 10
"""Commands that cannot be read, after which a page is sent away."""
SEND_S = 10.0
"""Seconds that a listener may take for one message."""
PING_S = 10.0
KEEP_LOGIN_S = 7 * 24 * 3600
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
OPEN = ("/login", "/login.js", "/page.css", "/icon.svg")
"""What answers without the token: a form that asks for it."""
REFUSALS = {
    401: "log in first, at /login",
    403: "pages of another site may not come in; web.origins names those that may",
    421: "this page answers to names of this machine only, such as localhost",
}
BOUNDARY = b"picture"


@functools.cache
def page_files() -> Mapping[str, tuple[bytes, str]]:
    """Return what can be asked for by name, with its kind: these files and no others."""
    folder = Path(__file__).with_name("page")
    return {
        file.name: (file.read_bytes(), KINDS[file.suffix[1:]]) for file in folder.iterdir() if file.suffix[1:] in KINDS
    }


class Guard:
    """Lets in whom `Access` lets in, before anything else looks at a request."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        path = scope["path"]
        refusal = self._access.refuses_site(headers) if path in OPEN else self._access.refuses(headers)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(plain_answer(REFUSALS[refusal], refusal))
        elif refusal == 401 and path == "/":
            await RedirectResponse("/login", 303, HEADERS)(scope, receive, send)
        else:
            await plain_answer(REFUSALS[refusal], refusal)(scope, receive, send)


@dataclass(frozen=True)
class PastSession:
    """A session that is over.

    Attributes
    ----------
    content
        What was said, in JSON: ``{"details": {...}, "entries": [{"at": ..., "topic": ..., "message": ...}, ...]}``.
    pictures
        The PNG file of each trial's picture.
    """

    content: bytes
    pictures: Mapping[int, Path]


class Web:
    """The page of a session, told as a broker is.

    Parameters
    ----------
    door
        The open port.
    ask
        Called in the page's thread with what a page asks, a command in JSON; returns an answer where it cannot be read.
    farewell
        The state that pages are told at the end.
    recorded
        A session that is over, in place of one that runs.
    beside
        What else is served.
    """

    def __init__(
        self,
        door: Door,
        ask: Callable[[bytes], bytes | None],
        farewell: bytes = b"",
        recorded: PastSession | None = None,
        beside: Sequence[BaseRoute] = (),
    ) -> None:
        import uvicorn

        self.hub = Hub()
        self.text = f"page at {door.url}"
        self._door = door
        self._ask = ask
        self._farewell = farewell
        self._recorded = recorded
        self._beside = beside
        self._access = Access(door.token, door.origins)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(self._app(), self._access),
                http="h11",
                ws="websockets-sansio",
                ws_max_size=MOST_BYTES,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

    def start(self) -> Web:
        """Start serving and return at once."""
        self._thread.start()
        return self

    def send(self, lane: str, letter: Letter) -> None:  # noqa: ARG002  (pages have one queue)
        """Tell a letter to all pages, without waiting."""
        self._soon(self.hub.take, letter)

    def set_state(self, payload: bytes) -> None:
        """Tell the state, also to pages that open later."""
        self._soon(self.hub.take, Letter("state", payload))

    def stop(self, timeout_s: float = 2.0) -> None:
        """Tell pages the farewell and end, within `timeout_s`."""
        if not self._thread.is_alive():
            return
        if self._farewell:
            self.set_state(self._farewell)
        self._soon(self._end)
        self._thread.join(timeout_s)

    def _soon(self, call: Callable[..., object], *given: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *given)

    def _end(self) -> None:
        self._server.should_exit = True

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._server.serve(sockets=[self._door.socket]))
        finally:
            self._loop.close()

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/login", self._login, methods=["GET", "POST"]),
                Route("/electrodes.json", self._electrodes),
                Route("/schema.json", self._schema),
                Route("/picture.jpg", self._picture),
                Route("/pictures.mjpeg", _Pictures(self.hub)),
                Route("/recorded.json", self._over),
                Route("/pictures/{trial:int}", self._picture_of),
                WebSocketRoute("/session", self._talk),
                *self._beside,
                Route("/{name}", self._file),
            ]
        )

    async def _page(self, _request: Request) -> Response:
        return _file("index.html")

    async def _file(self, request: Request) -> Response:
        return _file(request.path_params["name"])

    async def _electrodes(self, _request: Request) -> Response:
        return json_answer(json.dumps(electrode_positions()).encode())

    async def _schema(self, _request: Request) -> Response:
        return json_answer(self.hub.schema)

    async def _picture(self, _request: Request) -> Response:
        picture = self.hub.picture
        if picture is None:
            return plain_answer("no picture yet", 404)
        return Response(picture.jpeg, 200, HEADERS | {"cache-control": "no-store"}, "image/jpeg")

    async def _over(self, _request: Request) -> Response:
        return plain_answer("this session runs", 404) if self._recorded is None else json_answer(self._recorded.content)

    async def _picture_of(self, request: Request) -> Response:
        file = None if self._recorded is None else self._recorded.pictures.get(request.path_params["trial"])
        if file is None or not file.is_file():
            return plain_answer("there is no such picture", 404)
        return FileResponse(file, 200, HEADERS, "image/png")

    async def _login(self, request: Request) -> Response:
        if request.method == "GET":
            return _file("login.html")
        body = b""
        with contextlib.suppress(ClientDisconnect):
            async for part in request.stream():
                body += part
                if len(body) > MOST_LOGIN_BYTES:
                    return plain_answer("too much for a token", 413)
        cookie = self._access.login(parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0])
        if cookie is None:
            return RedirectResponse("/login#wrong", 303, HEADERS)
        answer = RedirectResponse("/", 303, HEADERS)
        answer.set_cookie(COOKIE, cookie, KEEP_LOGIN_S, httponly=True, samesite="strict")
        return answer

    async def _talk(self, socket: WebSocket) -> None:
        """Tell a page what the session says, and take what it asks, until either has enough."""
        client = self.hub.join()
        if client is None:
            await socket.send_denial_response(plain_answer("too many pages are open", 503))
            return
        try:
            await socket.accept()
            tasks = [asyncio.create_task(_tell(socket, client)), asyncio.create_task(self._listen(socket))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                for ended in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(ended, Exception) and not isinstance(ended, (OSError, WebSocketDisconnect)):
                        logger.error("a page was left: %r", ended)
            with contextlib.suppress(RuntimeError, TimeoutError, WebSocketDisconnect):
                await asyncio.wait_for(socket.close(1008), 1.0)
        finally:
            self.hub.leave(client)

    async def _listen(self, socket: WebSocket) -> None:
        bad = 0
        while bad < BAD_COMMANDS:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            content = message.get("text")
            answer = self._ask(message["bytes"] if content is None else content.encode("utf-8", "surrogatepass"))
            if answer is not None:
                bad += 1
                word = b'[{"topic":"ack","message":' + answer + b"}]"
                await asyncio.wait_for(socket.send_text(word.decode()), SEND_S)


async def _tell(socket: WebSocket, client: Client) -> None:
    while not client.lost:
        await client.wait()
        words, picture = client.take()
        if words is not None:
            await asyncio.wait_for(socket.send_text(words), SEND_S)
        if picture is not None:
            await asyncio.wait_for(socket.send_bytes(picture.message), SEND_S)


class _Pictures:
    """The pictures as motion JPEG, for programs that show a camera; each as it is painted, the newest at once."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = self._hub.join(words=False)
        if client is None:
            await plain_answer("too many listen", 503)(scope, receive, send)
            return
        gone = asyncio.create_task(_gone(receive))
        try:
            kind = b"multipart/x-mixed-replace; boundary=" + BOUNDARY
            headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            part = b"--" + BOUNDARY + b"\r\n"
            while not gone.done():
                await asyncio.wait_for(send({"type": "http.response.body", "body": part, "more_body": True}), SEND_S)
                waiting = asyncio.create_task(client.wait())
                await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                _, picture = client.take()
                jpeg = b"" if picture is None else picture.jpeg
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                # The next boundary is sent along: browsers show a picture only when they see it.
                part = head + jpeg + b"\r\n--" + BOUNDARY + b"\r\n"
        except (TimeoutError, OSError):
            return  # it takes nothing any more
        finally:
            gone.cancel()
            self._hub.leave(client)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _file(name: str) -> Response:
    content, kind = page_files().get(name, (b"", ""))
    return Response(content, 200, HEADERS, kind) if kind else plain_answer("there is no such page", 404)
