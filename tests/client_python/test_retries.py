"""What is repeated, over real HTTP with scripted answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rts_chat import ChatError
from tests.client_python.clients import Asynchronous, Blocking, Both

DONE = {"ok": True, "data": {"message_id": "m"}}
BUSY = {"code": "rate_limited", "message": "Busy.", "retryable": True, "retry_after_ms": 1}


class Scripted:
    """A server that answers what is next, and keeps what it was asked."""

    def __init__(self) -> None:
        self.next: list[Any] = []
        self.keys: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The next answer; for ConnectionError, carry the request out and cut the connection."""
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        answer = self.next.pop(0) if self.next else DONE
        if answer is ConnectionError:
            assert request.transport is not None
            request.transport.abort()
        return answer if isinstance(answer, web.Response) else web.json_response(answer)


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    """It answers DONE until a test says something else."""
    server = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(app) as running:
        server.url = str(running.make_url(""))
        yield server


@pytest.mark.parametrize("kind", [Blocking, Asynchronous])
async def test_a_message_is_repeated_under_one_key(scripted: Scripted, kind: Both) -> None:
    """After a refusal for now, a proxy's page and a lost answer it is still one message."""
    page = web.Response(status=502, body="<html>", content_type="text/html")
    scripted.next = [{"ok": False, "error": BUSY}, page, ConnectionError]
    async with kind(scripted.url, "token") as rest:
        assert await rest.ask("message_send", "r", text="once") == DONE["data"]
        assert len(scripted.keys) == 4
        assert len(set(scripted.keys)) == 1
        assert scripted.keys[0]
        await rest.ask("message_send", "r", text="another")
    assert len(set(scripted.keys)) == 2


@pytest.mark.parametrize("kind", [Blocking, Asynchronous])
async def test_a_refusal_for_good_is_not_repeated(scripted: Scripted, kind: Both) -> None:
    """One request, one ChatError."""
    scripted.next = [{"ok": False, "error": BUSY | {"code": "gone", "retryable": False}}]
    async with kind(scripted.url, "token") as rest:
        with pytest.raises(ChatError, match="gone"):
            await rest.ask("message_send", "r", text="never")
    assert len(scripted.keys) == 1


@pytest.mark.parametrize("kind", [Blocking, Asynchronous])
async def test_a_stream_that_is_cut_off_is_an_error(scripted: Scripted, kind: Both) -> None:
    """What came is not mistaken for all there is; nor is the page of a proxy."""
    lines = web.Response(body='{"kind": "message"}\n{"ki', content_type="application/x-ndjson")
    page = web.Response(status=502, body="<html>", content_type="text/html")
    scripted.next = [lines, page]
    async with kind(scripted.url, "token") as rest:
        for reason in ("cut off", "502"):
            with pytest.raises(ChatError, match=reason) as cut:
                await rest.all_lines("personal_export", "u")
            assert cut.value.code == "no_answer"
