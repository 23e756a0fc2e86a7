# SPDX-License-Identifier: Apache-2.0
"""The review's page on loopback. Nothing is served by a path: images go by their number, the page's files by name.

Who may talk to it: a browser that was given the address with the token. The token comes back as a cookie that other
sites' pages cannot send (SameSite=Strict), and what changes anything needs it in a header of its own too, which such a
page cannot set. Requests under another host name than the loopback's are refused, whatever name was made to lead here.
"""

import json
import secrets
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..report import overlays
from ..runtime.errors import UserError
from ..scoring.provenance import Provenance
from .replay import DATASET
from .session import Session

HOST = "127.0.0.1"
COOKIE, HEADER = "sequential_patchcore_review", "x-review-token"
LARGEST_BODY = 64 << 10  # bytes of a decision
_SIDE = 2048  # of a shown picture
_HERE = Path(__file__).parent
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; "
                               "base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer",
    "cache-control": "no-store", "cross-origin-resource-policy": "same-origin",
}


def cookie_of(port: int) -> str:
    """Its name: browsers send the cookies of a host to all of its ports, and two reviews may be open in one."""
    return f"{COOKIE}_{port}"



Handler = Callable[[Request], Awaitable[Response]]


class Review:
    """The handlers of the page's requests.

    Args:
        session: the review.
        port: where it is served, for the check of the host's name.
        who: the name that decisions carry unless the page says another.
        provenance: shows the nearest nominal patches, where their data sets are still there.
    """

    def __init__(self, session: Session, port: int, who: str, provenance: Provenance | None = None) -> None:
        self.session, self.who, self._provenance = session, who, provenance
        self.token = secrets.token_urlsafe(24)
        self.cookie = cookie_of(port)
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    def app(self) -> Starlette:
        get, post = {"methods": ["GET"]}, {"methods": ["POST"]}
        return Starlette(routes=[
            Route("/", self._page, **get),
            Route("/review.js", self._allowed(partial(self._file, "review.js", "text/javascript")), **get),
            Route("/review.css", self._allowed(partial(self._file, "review.css", "text/css")), **get),
            Route("/state", self._allowed(self._state), **get),
            Route("/photograph/{number:int}", self._allowed(self._photograph), **get),
            Route("/map/{number:int}", self._allowed(self._map), **get),
            Route("/nearest/{number:int}/{x:int}/{y:int}", self._allowed(self._nearest), **get),
            Route("/thumbnail/{entry:str}", self._allowed(self._thumbnail), **get),
            Route("/decide", self._allowed(self._decide, changes=True), **post),
            Route("/undo", self._allowed(self._undo, changes=True), **post),
        ])

    def _allowed(self, handler: Handler, changes: bool = False) -> Handler:
        async def checked(request: Request) -> Response:
            reason = self._refusal(request, changes)
            if reason is not None:
                return _answer({"error": reason}, 403)
            try:
                response = await handler(request)
            except UserError as error:
                return _answer({"error": str(error)}, 400)
            response.headers.update(_HEADERS)
            return response

        return checked

    def _refusal(self, request: Request, changes: bool) -> str | None:
        """Why a request is not answered."""
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return "this page is served on the loopback address only"
        if not _same(request.cookies.get(self.cookie, ""), self.token):
            return "open the address with the token that the program printed"
        if changes:
            if request.headers.get("origin", f"http://{host}") != f"http://{host}":
                return "another page cannot decide here"
            if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
                return "another page cannot decide here"
            if not _same(request.headers.get(HEADER, ""), self.token):
                return "the token is missing: load the page anew"
        return None

    async def _page(self, request: Request) -> Response:
        if request.headers.get("host", "") not in self._hosts:
            return _answer({"error": "this page is served on the loopback address only"}, 403)
        known = _same(request.cookies.get(self.cookie, ""), self.token)
        if not known and not _same(request.query_params.get("token", ""), self.token):
            return _answer({"error": "open the address with the token that the program printed"}, 403)
        environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
        page = environment.get_template("review.html")
        text = page.render(token=self.token, who=self.who, dirt=self.session.impurities)
        response = Response(text, media_type="text/html", headers=_HEADERS)
        response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
        return response

    async def _file(self, name: str, kind: str, request: Request) -> Response:
        return Response((_HERE / name).read_bytes(), media_type=kind)

    async def _state(self, request: Request) -> Response:
        return _answer(await run_in_threadpool(self.session.state))

    async def _photograph(self, request: Request) -> Response:
        return _jpeg(await run_in_threadpool(self._picture_of, request.path_params["number"], False))

    async def _map(self, request: Request) -> Response:
        return _jpeg(await run_in_threadpool(self._picture_of, request.path_params["number"], True))

    def _picture_of(self, number: int, as_map: bool) -> np.ndarray:
        images = self.session.set.images
        if number >= len(images):
            raise UserError(f"there is no image {number}")
        image = images[number]
        if as_map:
            scores = self.session.set.map(image)
            assert image.limits is not None  # the session has used its thresholds
            drawn = image.limits.scaled(scores)
            return overlays.anomaly_map(drawn, image.limits.common, np.ones(scores.shape, bool), _SIDE)
        return overlays.photograph(self.session.set.picture(image), _SIDE)

    async def _nearest(self, request: Request) -> Response:
        place = request.path_params
        return await run_in_threadpool(self._nearest_to, place["number"], place["x"], place["y"])

    def _nearest_to(self, number: int, x: int, y: int) -> Response:
        """The nominal patch that a pixel's patch is nearest to: a picture where it can be shown, else in words."""
        images = self.session.set.images
        if number >= len(images) or not (x < images[number].size[1] and y < images[number].size[0]):
            raise UserError("there is no such pixel")
        image = images[number]
        rows, columns = image.grid.nearest_cells()
        vector = int(image.rows[rows[y], columns[x]])
        model = self.session.taught.model
        dataset, sample = model.sources[int(model.source[vector])]
        number = int(model.source[vector]) - len(self.session.base.sources)
        if dataset == DATASET and number >= 0:  # below it is one that the base model had been taught already
            entry = model.settings.get("taught", [])[number]
            return Response(self.session.thumbnail(entry), media_type="image/jpeg", headers=_said(f"taught: {sample}"))
        nominal = None if self._provenance is None else self._provenance.nominal(vector)
        if nominal is None or nominal.picture is None:
            return _answer({"words": f"{dataset}: {sample} (its image is not there any more)"})
        return Response(overlays.jpeg(overlays.photograph(nominal.picture), 92), media_type="image/jpeg",
                        headers=_said(f"{dataset}: {sample}"))

    async def _thumbnail(self, request: Request) -> Response:
        data = await run_in_threadpool(self.session.thumbnail, request.path_params["entry"])
        return Response(data, media_type="image/jpeg")

    async def _decide(self, request: Request) -> Response:
        return await self._changed(request, self.session.decide)

    async def _undo(self, request: Request) -> Response:
        return await self._changed(request, self.session.undo)

    async def _changed(self, request: Request, change: Callable[[str, dict], dict]) -> Response:
        body = await _body(request)
        if body is None:
            return _answer({"error": f"a decision takes at most {LARGEST_BODY} bytes"}, 413)
        try:
            asked = json.loads(body)
            who = asked.get("who") or self.who
            if not isinstance(who, str):
                raise ValueError("no name")
        except (ValueError, AttributeError, RecursionError) as error:
            raise UserError(f"expected a JSON object ({error})") from error
        answer = await run_in_threadpool(change, who[:100], asked)
        return _answer(answer | {"state": await run_in_threadpool(self.session.state)})


async def _body(request: Request) -> bytes | None:
    """What was sent; None where it is too much, whatever length was announced."""
    data = b""
    try:
        async for part in request.stream():
            data += part
            if len(data) > LARGEST_BODY:
                return None
    except ClientDisconnect:
        return None
    return data


def _same(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode(), expected.encode())


def _answer(facts: Any, status: int = 200) -> Response:
    return JSONResponse(facts, status, headers=_HEADERS)


def _jpeg(picture: np.ndarray) -> Response:
    coded, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not coded:
        raise UserError("the picture could not be encoded")
    return Response(data.tobytes(), media_type="image/jpeg")


def _said(words: str) -> dict[str, str]:
    return {"x-words": words.encode("ascii", "replace").decode()}


def bound(port: int = 0) -> socket.socket:
    """A socket that listens on the loopback address; port 0 takes a free one.

    Raises:
        UserError: the port is taken.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
        found.listen()  # so that a browser that is quicker than the server waits for it
    except OSError as error:
        found.close()
        raise UserError(f"cannot serve on port {port}: {error.strerror or error}; choose another `port`") from error
    return found


def serve(review: Review, listening: socket.socket) -> None:
    """Answer until Ctrl-C or SIGTERM."""
    config = uvicorn.Config(review.app(), log_level="warning", access_log=False, server_header=False,
                            h11_max_incomplete_event_size=64 << 10, timeout_keep_alive=5, ws="none", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])
