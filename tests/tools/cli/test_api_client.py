"""Retries, rate limits and pages of the API client, over real HTTP with scripted answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rts_server.tools.cli.api_client import (
    MAX_RETRY_SECONDS,
    ApiClient,
    ApiError,
    ServerUnreachable,
    path_segment,
    retry_pause,
)

OK = {"ok": True, "data": {"x": 1}}


def refusal(code: str, retryable: bool, **more: Any) -> dict[str, Any]:
    """The body of an error answer."""
    return {"ok": False, "error": {"code": code, "message": "No.", "retryable": retryable} | more}


class Answers:
    """A handler with scripted answers, which records the requests."""

    def __init__(self) -> None:
        self.next: list[Any] = []
        self.received: list[web.Request] = []
        self.times: list[float] = []
        self.first = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        """Return the next answer; for ConnectionError, cut the connection."""
        self.received.append(request)
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
    """A handler that answers OK until a test scripts something else."""
    return Answers()


@pytest.fixture
async def url(answers: Answers) -> AsyncIterator[str]:
    """The address of a server with this handler."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answers.answer)
    async with TestServer(app) as server:
        yield str(server.make_url(""))


async def test_retryable_failures_are_retried(url: str, answers: Answers) -> None:
    """After a rate limit, a broken connection and a 502 the answer comes, under the same key."""
    answers.next = [
        refusal("rate_limited", True, retry_after_ms=5),
        ConnectionError,
        web.Response(status=502, text="<html>"),
        refusal("unavailable", True, retry_after_ms=1),
    ]
    async with ApiClient(url, "t") as client:
        assert await client.request("POST", "/v1/x", {"a": 1}, key="k", limit="2") == {"x": 1}
    assert len(answers.received) == 5
    assert {one.headers["Idempotency-Key"] for one in answers.received} == {"k"}
    assert {one.headers["Authorization"] for one in answers.received} == {"Bearer t"}
    assert {one.path_qs for one in answers.received} == {"/v1/x?limit=2"}


async def test_final_errors_are_not_retried(url: str, answers: Answers) -> None:
    """An error that is not retryable is raised after one request, and names its fields."""
    answers.next = [refusal("invalid_param", False, details={"name": ["Too long."]})]
    async with ApiClient(url, "t") as client:
        with pytest.raises(ApiError) as caught:
            await client.request("PATCH", "/v1/x", {})
    assert str(caught.value) == "invalid_param: name: Too long."
    assert len(answers.received) == 1


async def test_retries_end_at_the_deadline(url: str, answers: Answers) -> None:
    """No pause begins that would end after the deadline; foreign answers are reported as such."""
    answers.next = [refusal("unavailable", True, retry_after_ms=10_000)]
    async with ApiClient(url, "t", max_wait=5) as client:
        with pytest.raises(ApiError):
            await client.request("GET", "/v1/x")
    answers.next = [web.Response(status=404, text="nginx")]
    async with ApiClient(url, "t") as client:
        with pytest.raises(ServerUnreachable, match=r"Status 404, .* not an answer"):
            await client.request("GET", "/v1/x")
    async with ApiClient("http://127.0.0.1:9", "t", max_wait=0) as client:
        with pytest.raises(ServerUnreachable):
            await client.request("GET", "/v1/x")


async def test_a_rate_limit_pauses_all_requests(url: str, answers: Answers) -> None:
    """After rate_limited no request of the client is sent before `retry_after_ms`."""
    answers.next = [refusal("rate_limited", True, retry_after_ms=300)]
    async with ApiClient(url, "t") as client:
        first = asyncio.create_task(client.request("GET", "/v1/a"))
        await answers.first.wait()
        await asyncio.sleep(0.05)
        await asyncio.gather(first, *(client.request("GET", "/v1/b") for _ in range(5)))
    assert [at - answers.times[0] >= 0.3 for at in answers.times[1:]] == [True] * 6


async def test_all_pages_of_a_list_are_read(url: str, answers: Answers) -> None:
    """Each page is requested with the cursor of the page before it."""
    answers.next = [
        {"ok": True, "data": {"rooms": [{"n": 1}, {"n": 2}], "next_cursor": "c"}},
        {"ok": True, "data": {"rooms": [{"n": 3}], "next_cursor": None}},
    ]
    async with ApiClient(url, "t") as client:
        found = [one["n"] async for one in client.list_items("/v1/x", "rooms", hidden="1")]
    assert found == [1, 2, 3]
    assert [one.query_string for one in answers.received] == ["hidden=1", "hidden=1&cursor=c"]


async def test_ids_are_encoded_in_paths(url: str, answers: Answers) -> None:
    """The server receives an id with any characters unchanged."""
    async with ApiClient(url, "t") as client:
        for name in ("a/b", "50%", "x?y#z", "é".encode().hex(), "a%2Fb", "q&a;=+"):
            await client.request("GET", f"/v1/{path_segment(name)}/members")
            assert answers.received[-1].path == f"/v1/{name}/members"


def test_pauses_grow_up_to_a_limit() -> None:
    """Pauses double up to a limit; `retry_after` of the server has precedence."""
    away = ServerUnreachable("unreachable", "", retryable=True)
    for attempt in (0, 3, 50):
        most = min(MAX_RETRY_SECONDS, 0.25 * 2.0**attempt)
        assert most / 2 <= retry_pause(attempt, away) <= most
    assert retry_pause(7, ApiError("rate_limited", "", {}, True, 0.2)) == 0.2
