"""A client of the REST routes; every answer is checked against the schema of its route."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient

from rts_server.protocol.objects import ErrorSchema
from rts_server.rest.data_requests import PersonalRoutes
from rts_server.rest.events import EventRoutes
from rts_server.rest.instances import InstanceRoutes, PresenceRoutes
from rts_server.rest.members import MemberRoutes
from rts_server.rest.messages import MessageRoutes
from rts_server.rest.queues import QueueRoutes
from rts_server.rest.rooms import RoomRoutes
from rts_server.rest.routes import Route
from rts_server.rest.users import UserRoutes
from tests.helpers.waiting import PATIENCE, eventually
from tests.helpers.world import name

RESOURCES: list[type] = [
    RoomRoutes,
    MemberRoutes,
    MessageRoutes,
    EventRoutes,
    UserRoutes,
    PersonalRoutes,
    QueueRoutes,
    InstanceRoutes,
    PresenceRoutes,
]
ROUTES: list[Route] = [
    member.__dict__["__route__"]
    for resource in RESOURCES
    for member in vars(resource).values()
    if "__route__" in getattr(member, "__dict__", ())
]

Client = TestClient[web.Request, web.Application]


class Rest:
    """One token at one instance, which is a URL, or aiohttp's test client of this process."""

    def __init__(self, instance: str | Client, token: str | None) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._own = aiohttp.ClientSession(instance) if isinstance(instance, str) else None
        self._session: Any = self._own or instance
        self.status = 0
        self.headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._own is not None:
            await self._own.close()

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Send a request; return the answer. The status is kept in `status`."""
        given = {} if body is None else {"json": body}
        async with self.request(method, path, **given, **more) as response:
            self.status, self.headers = response.status, dict(response.headers)
            answer = await response.json()
        wrong = answer_errors(method, path.partition("?")[0], answer)
        assert not wrong, (method, path, wrong)
        told = [route.statuses for route in routes_at(method, path.partition("?")[0])]
        known = not told or self.status == 405 or any(self.status in one for one in told)
        assert known, (method, path, self.status)
        return answer

    async def lines(self, path: str) -> list[Any]:
        """Return the lines that a POST answers, without the last one, which must be `end`."""
        async with self.request("POST", path) as response:
            assert response.status == 200
            lines = [orjson.loads(line) async for line in response.content]
        for line in lines:
            assert not answer_errors("POST", path, {"ok": True, "data": line}), line
        assert lines[-1] == {"kind": "end", "lines": len(lines) - 1}
        return lines[:-1]

    def request(self, method: str, path: str, **more: Any) -> Any:
        """Return aiohttp's request, with the token."""
        headers = self._headers | more.pop("headers", {})
        return self._session.request(method, path, headers=headers, **more)

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Send a request that must succeed; return its data.

        `unavailable` is repeated, as back ends do; others fail.
        """
        async with asyncio.timeout(PATIENCE):
            while (answer := await self.ask(method, path, body, **more)).get("error"):
                assert answer["error"]["code"] == "unavailable", answer
                await asyncio.sleep(answer["error"].get("retry_after_ms", 100) / 1000)
        assert self.status == 200
        return answer["data"]

    async def refused(self, method: str, path: str, body: Any = None, **more: Any) -> str:
        """Send a request that must be refused; return the code."""
        answer = await self.ask(method, path, body, **more)
        assert not answer["ok"], answer
        code: str = answer["error"]["code"]
        return code


def answer_errors(method: str, path: str, answer: Any) -> Any:
    """Return how an answer differs from the schema of its route."""
    if not answer["ok"]:
        return ErrorSchema().validate(answer["error"])
    for route in routes_at(method, path):
        return route.answer().validate(answer["data"])
    return {path: "no such route"}


def routes_at(method: str, path: str) -> list[Route]:
    """Return the routes that a request may be meant for."""
    return [
        route
        for route in ROUTES
        if route.method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), path)
    ]


def member(user_id: str, role: str = "member") -> dict[str, Any]:
    """Return a member as REST declares it."""
    return {"user_id": user_id, "role": role}


async def group(operator: Rest, *members: dict[str, Any]) -> str:
    """Create a group of these members; return its id."""
    path = f"/v1/external-rooms/{name('group')}"
    made = await operator.ok("PUT", path, {"name": "G", "members": list(members)})
    room_id: str = made["room"]["room_id"]
    return room_id


async def presence_when_online(operator: Rest, user_id: str) -> Any:
    """Return a user's presence, explained, once it shows where the user is connected."""
    path = f"/v1/users/{user_id}/presence"
    told: Any = {}

    async def is_online() -> bool:
        told.update(await operator.ok("GET", path, params={"explain": "1"}))
        return bool(told["connections"]) and told["presence"]["state"] == "online"

    await eventually(is_online)
    return told
