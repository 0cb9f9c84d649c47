"""The frame of all operator routes: authentication, validation and the shape of the answer."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from math import ceil
from typing import Any, TypedDict, TypeVar

import orjson
from aiohttp import ClientConnectionResetError, web
from marshmallow import Schema
from redis.exceptions import RedisError

from rts_server import errors, metrics
from rts_server.auth import Identity, Tokens
from rts_server.config import Settings
from rts_server.persistence.revocations import Revocations
from rts_server.protocol import requests
from rts_server.rates import Buckets, parse
from rts_server.rest.parsing import Parser

log = logging.getLogger(__name__)

OPERATOR_SCOPE = "operator"
_PATH_PARAM = re.compile(r"{(\w+)}")
_PARSER = Parser()

EVERYWHERE: tuple[type[errors.Refusal], ...] = (
    errors.Unauthorized,
    errors.Forbidden,
    errors.RateLimited,
    errors.Internal,
    errors.Unavailable,
    errors.InvalidParam,  # also a route that takes no fields refuses those it gets
    errors.MessageTooLarge,
    errors.UnsupportedType,
)
"""Refusals that every route can answer with."""

USER_ACTIONS = ("disconnect", "erase", "export", "revoke")
"""What can be done to a user by a POST to their path, a colon and the action."""

JSON_LINES_TYPE = "application/x-ndjson"

Line = Mapping[str, object]
Handler = Callable[[Any, Identity, Any], Awaitable[Any]]
"""(resource, operator, params): each handler declares the types of its params and its answer.

The params are path, query, headers and body in one object, as the schemas of the route load them.
"""
H = TypeVar("H", bound=Handler)


class RoomParams(TypedDict):
    """The path of a room."""

    room_id: str


class UserParams(TypedDict):
    """The path of a user."""

    user_id: str


@dataclass(frozen=True)
class Route:
    """One route and its schemas. The docstring of its handler is its description in OpenAPI."""

    method: str
    path: str
    answer: type[Schema]
    body: type[requests.RequestSchema] | None = None
    query: type[requests.RequestSchema] | None = None
    headers: type[Schema] | None = None
    lines: bool = False
    """Whether the answer is a stream of JSON lines instead of one object."""
    refuses: tuple[type[errors.Refusal], ...] = ()
    """Refusals of this route, beside those that follow from its parameters and its body."""

    @property
    def statuses(self) -> list[int]:
        """Every status that the route can answer with, in ascending order."""
        kinds = {*EVERYWHERE, *self.refuses}
        if self.path_params:  # a segment that fits no route
            kinds.add(errors.NotFound)
        return sorted({200, *(kind.http for kind in kinds)})

    @property
    def path_params(self) -> list[str]:
        """The names of the parameters in the path."""
        return _PATH_PARAM.findall(self.path)

    @property
    def pattern(self) -> str:
        """The path in aiohttp's syntax, with an expression for each parameter."""
        return _PATH_PARAM.sub(lambda place: f"{{{place[1]}:{self.segment(place[1])}}}", self.path)

    def segment(self, name: str) -> str:
        """Return the pattern of a path parameter. User and external ids and emoji may have a colon.

        At the end of a path an id has no action: `/v1/users/alice:revoke` is no user.
        """
        if name not in ("user_id", "other_id", "external_id", "emoji"):
            return "[^/:]+"
        is_last = name == "user_id" and self.path.endswith("{user_id}")
        return "[^/]+" + "".join(f"(?<!:{action})" for action in USER_ACTIONS if is_last)

    def locations(self) -> Iterator[tuple[str, type[Schema]]]:
        """Yield (location, schema) of each part of the request, in the order of validation."""
        yield "match_info", requests.path_schema(*self.path_params)
        yield "query", self.query or requests.NoFieldsSchema
        if self.headers:
            yield "headers", self.headers
        yield "json", self.body or requests.NoFieldsSchema


class _LostRoute(Route):
    """Every path that is none: whatever is sent to it, the answer is that there is none."""

    def locations(self) -> Iterator[tuple[str, type[Schema]]]:
        """Yield the path alone."""
        yield "match_info", requests.path_schema(*self.path_params)


def route(method: str, path: str, answer: type[Schema], **more: Any) -> Callable[[H], H]:
    """Mark a method as a route. It returns the data of the answer, or raises a Refusal."""

    def mark(handler: H) -> H:
        handler.__dict__["__route__"] = Route(method, path, answer, **more)
        return handler

    return mark


def routes_of(resource: object) -> list[tuple[Route, Handler]]:
    """Return the routes of a resource, in the order of their definition."""
    marked = vars(type(resource)).values()
    return [
        (m.__dict__["__route__"], m) for m in marked if "__route__" in getattr(m, "__dict__", ())
    ]


class OperatorRouter:
    """Adds routes that only tokens with `scope: operator` can use."""

    def __init__(self, settings: Settings, tokens: Tokens, revocations: Revocations) -> None:
        self._settings = settings
        self._tokens = tokens
        self._revocations = revocations
        self._buckets = Buckets(parse(settings.rates))

    def add(self, app: web.Application, resource: object) -> None:
        """Add all routes of a resource."""
        for one, handler in routes_of(resource):
            app.router.add_route(one.method, one.pattern, self._endpoint(one, handler, resource))

    def add_fallback(self, app: web.Application, routes: list[Route]) -> None:
        """Answer every other path under /v1 with an error of the same shape."""

        async def no_route(_: object, __: Identity, params: dict[str, str]) -> None:
            """Raise WrongMethod if the path has other methods, else NotFound."""
            path = params["path"]
            matching = [one for one in routes if re.fullmatch(_as_regex(one), path)]
            if not matching:
                raise errors.NotFound("No such route.")
            # A user id may contain a colon: users/{user_id} matches users/alice:erase as well.
            longest = max(len(_PATH_PARAM.sub("", one.path)) for one in matching)
            closest = [one for one in matching if len(_PATH_PARAM.sub("", one.path)) == longest]
            raise WrongMethod(sorted({one.method for one in closest}))

        lost = _LostRoute("*", "/v1/{path}", Schema)
        app.router.add_route("*", "/v1/{path:.*}", self._endpoint(lost, no_route, None))

    def _endpoint(
        self, one: Route, handler: Handler, resource: object
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        schemas = [(location, schema()) for location, schema in one.locations()]
        name = f"{one.method} {one.path}"

        async def endpoint(request: web.Request) -> web.StreamResponse:
            began = time.perf_counter()
            try:
                operator = await self._operator(request)
                params: dict[str, object] = {}
                for location, schema in schemas:
                    params |= await _PARSER.parse(schema, request, location=location)
                answer = await handler(resource, operator, params)
            except Exception as error:
                answer = _refusal(error)
            code = answer.code if isinstance(answer, errors.Refusal) else "ok"
            streams = one.lines and code == "ok"
            response = await stream_lines(request, answer) if streams else _response(answer)
            metrics.COMMANDS_TOTAL.labels(name, code).inc()
            metrics.COMMAND_SECONDS.labels(name).observe(time.perf_counter() - began)
            return response

        return endpoint

    async def _operator(self, request: web.Request) -> Identity:
        """Return the operator of the request.

        Raises Unauthorized, TokenExpired, Forbidden, RateLimited.

        Revocations are loaded before the token is checked against them (A3).
        """
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip() if kind.lower() == "bearer" else None
        with self._tokens.refusals_logged():
            identity = await self._tokens.identity(given)
            async with asyncio.timeout(self._settings.redis_deadline):
                await self._revocations.known.wait()
            self._revocations.check(identity)
            if OPERATOR_SCOPE not in identity.scope.split():
                raise errors.Forbidden(
                    "This needs a token with scope operator.",
                    details={"scope": [f"Must include {OPERATOR_SCOPE}."]},
                )
        if self._settings.limited:
            self._charge(identity.user_id)
        return identity

    def _charge(self, operator_id: str) -> None:
        if wait := self._buckets.take("operator", operator_id, time.monotonic()):
            metrics.LIMITED.labels("operator").inc()
            raise errors.RateLimited(retry_after_ms=ceil(wait * 1000))


class WrongMethod(errors.BadRequest):
    """The route does not know this method."""

    http = 405

    def __init__(self, allowed: list[str]) -> None:
        super().__init__()
        self.allowed = allowed


def _as_regex(one: Route) -> str:
    """Return a regular expression for the path after /v1/, as it was sent."""
    parts = _PATH_PARAM.split(one.path.removeprefix("/v1/"))
    texts = [re.escape(part) if n % 2 == 0 else one.segment(part) for n, part in enumerate(parts)]
    return "".join(texts)


def _refusal(error: Exception) -> errors.Refusal:
    match error:
        case errors.Refusal():
            return error
        case web.HTTPRequestEntityTooLarge():
            return errors.MessageTooLarge("The body is too large.")
        case RedisError() | OSError():  # a TimeoutError is one
            return errors.Unavailable()
    request_id = secrets.token_hex(8)
    log.error("route failed", extra={"request_id": request_id}, exc_info=error)
    return errors.Internal(details={"request_id": request_id})


def _response(answer: Mapping[str, object] | errors.Refusal) -> web.Response:
    if not isinstance(answer, errors.Refusal):
        return _json({"ok": True, "data": answer}, 200)
    headers = {}
    if answer.http == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if answer.retry_after_ms is not None:
        headers["Retry-After"] = str(-(-answer.retry_after_ms // 1000))
    if isinstance(answer, WrongMethod):
        headers["Allow"] = ", ".join(answer.allowed)
    return _json({"ok": False, "error": answer.as_error()}, answer.http, headers)


async def stream_lines(
    request: web.Request, answer: AsyncGenerator[Line, None]
) -> web.StreamResponse:
    """Send JSON lines. An error on the way becomes the last line, shaped like an error answer.

    A client that leaves before the last line ends the work, too.
    """
    response = web.StreamResponse(headers={"Content-Type": JSON_LINES_TYPE})
    with suppress(ClientConnectionResetError):
        async with aclosing(answer):
            await response.prepare(request)
            try:
                async for line in answer:
                    await response.write(orjson.dumps(line) + b"\n")
            except ClientConnectionResetError:
                raise
            except Exception as error:
                refused = {"ok": False, "error": _refusal(error).as_error()}
                await response.write(orjson.dumps(refused) + b"\n")
        await response.write_eof()
    return response


def _json(
    body: Mapping[str, object], status: int, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json"
    )
