"""Patience with a server, over real HTTP against answers written down here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rts_server.tools.cli.server import (
    LONGEST_PAUSE,
    Refused,
    Server,
    Unreachable,
    pause_before,
    place,
)

OK = {"ok": True, "data": {"x": 1}}


def refusal(code: str, retryable: bool, **more: Any) -> dict[str, Any]:
    """As the protocol says it."""
    return {"ok": False, "error": {"code": code, "message": "No.", "retryable": retryable} | more}


class Answers:
    """What is answered next, and what was asked."""

    def __init__(self) -> None:
        self.next: list[Any] = []
        self.asked: list[web.Request] = []
        self.times: list[float] = []
        self.first = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        """The next answer; an exception cuts the connection."""
        self.asked.append(request)
        self.times.append(time.monotonic())
        self.first.set()
        answer = self.next.pop(0) if self.next else OK
        if isinstance(answer, web.Response):
            return answer
        if answer is ConnectionError:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(answer)


@pytest.fixture
async def answers() -> Answers:
    """None yet: everything is ok."""
    return Answers()


@pytest.fixture
async def url(answers: Answers) -> AsyncIterator[str]:
    """Where they are given."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answers.answer)
    async with TestServer(app) as server:
        yield str(server.make_url(""))


async def test_what_may_be_repeated_is(url: str, answers: Answers) -> None:
    """Too fast, a broken connection and a proxy's 502 end in the answer, under one key."""
    answers.next = [
        refusal("rate_limited", True, retry_after_ms=5),
        ConnectionError,
        web.Response(status=502, text="<html>"),
        refusal("unavailable", True, retry_after_ms=1),
    ]
    async with Server(url, "t") as server:
        assert await server.ask("POST", "/v1/x", {"a": 1}, key="k", limit="2") == {"x": 1}
    assert len(answers.asked) == 5
    assert {one.headers["Idempotency-Key"] for one in answers.asked} == {"k"}
    assert {one.headers["Authorization"] for one in answers.asked} == {"Bearer t"}
    assert {one.path_qs for one in answers.asked} == {"/v1/x?limit=2"}


async def test_what_may_not_is_said_at_once(url: str, answers: Answers) -> None:
    """A refusal that is final is asked once, and names its fields."""
    answers.next = [refusal("invalid_param", False, details={"name": ["Too long."]})]
    async with Server(url, "t") as server:
        with pytest.raises(Refused) as caught:
            await server.ask("PATCH", "/v1/x", {})
    assert str(caught.value) == "invalid_param: name: Too long."
    assert len(answers.asked) == 1


async def test_patience_has_an_end(url: str, answers: Answers) -> None:
    """No pause is begun that would end behind the deadline; what is no rts-server is said so."""
    answers.next = [refusal("unavailable", True, retry_after_ms=10_000)]
    async with Server(url, "t", patience=5) as server:
        with pytest.raises(Refused):
            await server.ask("GET", "/v1/x")
    answers.next = [web.Response(status=404, text="nginx")]
    async with Server(url, "t") as server:
        with pytest.raises(Unreachable, match="Status 404, and no answer of rts-server"):
            await server.ask("GET", "/v1/x")
    async with Server("http://127.0.0.1:9", "t", patience=0) as server:
        with pytest.raises(Unreachable):
            await server.ask("GET", "/v1/x")


async def test_one_who_is_too_fast_makes_all_wait(url: str, answers: Answers) -> None:
    """After rate_limited no question is asked before its time, by nobody."""
    answers.next = [refusal("rate_limited", True, retry_after_ms=300)]
    async with Server(url, "t") as server:
        first = asyncio.create_task(server.ask("GET", "/v1/a"))
        await answers.first.wait()
        await asyncio.sleep(0.05)
        await asyncio.gather(first, *(server.ask("GET", "/v1/b") for _ in range(5)))
    assert [at - answers.times[0] >= 0.3 for at in answers.times[1:]] == [True] * 6


async def test_a_list_is_read_to_its_end(url: str, answers: Answers) -> None:
    """Page after page by cursor."""
    answers.next = [
        {"ok": True, "data": {"rooms": [{"n": 1}, {"n": 2}], "next_cursor": "c"}},
        {"ok": True, "data": {"rooms": [{"n": 3}], "next_cursor": None}},
    ]
    async with Server(url, "t") as server:
        found = [one["n"] async for one in server.pages("/v1/x", "rooms", hidden="1")]
    assert found == [1, 2, 3]
    assert [one.query_string for one in answers.asked] == ["hidden=1", "hidden=1&cursor=c"]


async def test_ids_arrive_as_they_are(url: str, answers: Answers) -> None:
    """Whatever an id holds, the path has it whole."""
    async with Server(url, "t") as server:
        for name in ("a/b", "50%", "x?y#z", "é".encode().hex(), "a%2Fb", "q&a;=+"):
            await server.ask("GET", f"/v1/{place(name)}/members")
            assert answers.asked[-1].path == f"/v1/{name}/members"


def test_pauses_grow_and_end_growing() -> None:
    """Twice as long each time, up to a bound; what the server says counts more."""
    away = Unreachable("unreachable", "", retryable=True)
    for attempt in (0, 3, 50):
        most = min(LONGEST_PAUSE, 0.25 * 2.0**attempt)
        assert most / 2 <= pause_before(attempt, away) <= most
    assert pause_before(7, Refused("rate_limited", "", {}, True, 0.2)) == 0.2
