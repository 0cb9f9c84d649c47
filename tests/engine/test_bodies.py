"""Bodies of POSTs by polling clients: each is answered soon, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from rts_server.engine import polling
from rts_server.engine.message_reader import MAX_ANSWERABLE_BYTES
from rts_server.engine.server import Server
from tests.helpers.raw import QUERY
from tests.helpers.serving import serving
from tests.helpers.waiting import eventually

POLLING = QUERY.replace("websocket", "polling")
BOTH: dict[str, Any] = {"transports": "polling,websocket"}


class Session:
    """A polling session in /chat."""

    def __init__(self, server: Server, url: str, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http
        self.root, self.url = url, url

    async def open(self) -> None:
        """Open a session and send CONNECT."""
        async with self.http.get(self.root + POLLING) as answer:
            sid = (await answer.text()).split('"')[3]
        self.url = f"{self.root}{POLLING}&sid={sid}"
        assert (await self.post("40/chat,{}")) == 200
        assert (await self.poll()).startswith("40/chat,")

    async def post(self, body: Any, **headers: str) -> int:
        """Return the status of a POST."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post(self.url, data=body, headers=named) as answer:
            return answer.status

    async def poll(self) -> str:
        """Return the body of a poll; empty if it was refused."""
        async with self.http.get(self.url) as answer:
            return await answer.text() if answer.status == 200 else ""


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    """A polling session in /chat."""
    async with serving(**BOTH) as (server, url), aiohttp.ClientSession() as http:
        opened = Session(server, url, http)
        await opened.open()
        yield opened


async def endless() -> AsyncIterator[bytes]:
    """A body that never ends."""
    yield b"4"
    await asyncio.Event().wait()


async def test_a_body_that_never_ends_is_given_up(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With or without Content-Length it is answered 408 in time, and the session ends."""
    monkeypatch.setattr(polling, "BODY_TIMEOUT_SECONDS", 0.2)
    assert await session.post(endless()) == 408
    assert session.server.eio.sockets == {}
    await session.open()
    assert await session.post(endless(), Content_Length="1000") == 408
    assert session.server.eio.sockets == {}


async def test_a_chunked_body_is_a_body(session: Session) -> None:
    """A body that arrives piece by piece is handled like any other."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"42/ch", b'at,7["a', b'"]'):
            yield piece
            await asyncio.sleep(0)

    assert await session.post(pieces()) == 200
    assert (await session.poll()).startswith("43/chat,7[")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "junk", "gzip, identity"])
async def test_an_encoded_body_is_refused(session: Session, encoding: str) -> None:
    """The answer is 415, or 400 if aiohttp cannot parse the body; nothing is logged as an error."""
    text = b'42/chat,7["a"]'
    assert await session.post(text, Content_Encoding=encoding) in (400, 415)
    await session.open()
    assert await session.post(text, Content_Encoding="identity") == 200


async def test_a_command_too_large_is_answered_by_the_next_poll(session: Session) -> None:
    """As on a WebSocket, the ack says `message_too_large` and the session goes on."""
    assert await session.post('42/chat,7["large","' + "x" * 78_000 + '"]') == 200
    assert (await session.poll()).startswith("43/chat,7[")
    assert session.server.namespace_handlers["/chat"].heard[-1][1] == "large"


def chunks() -> Iterator[bytes]:
    """More bytes than are read, in pieces of 64 KiB."""
    yield from [b"42/chat,7[" + b"x" * 65_526] * (MAX_ANSWERABLE_BYTES // 65_536 + 1)


@pytest.mark.parametrize("how", ["announced", "chunked", "no command"])
async def test_a_body_that_is_not_read_ends_the_session_with_a_reason(
    session: Session, how: str
) -> None:
    """The POST is answered 200, so that it is not repeated; the polls bring the reason."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in chunks():
            yield piece

    bodies: dict[str, Any] = {
        "announced": io.BytesIO(b"".join(chunks())),
        "chunked": pieces(),
        "no command": b"4x" * 40_000,
    }
    assert await session.post(bodies[how]) == 200
    told = await session.poll()
    assert '"code":"frame_too_large"' in told
    assert told.endswith("\x1e41/chat,")
    assert await session.poll() == "1"
    assert await session.poll() == ""


async def test_two_posts_at_once_are_one_too_many(session: Session) -> None:
    """Two POSTs side by side have no order, so the session ends."""
    first = asyncio.ensure_future(session.post(endless()))
    (socket,) = session.server.eio.sockets.values()
    await eventually(lambda: socket.posted)
    assert await session.post("3") == 400
    assert await session.poll() == ""
    first.cancel()
    await asyncio.wait([first])


async def test_a_client_that_vanishes_within_a_body_is_not_logged_as_an_error(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The session ends, and nothing is logged."""
    first = asyncio.ensure_future(session.post(endless()))
    (socket,) = session.server.eio.sockets.values()
    await eventually(lambda: socket.posted)
    first.cancel()
    await asyncio.wait([first])
    await eventually(lambda: not session.server.eio.sockets)
    assert caplog.messages == []


async def test_a_poll_whose_client_has_left_ends_the_session() -> None:
    """The packets of its response are lost, so the client has to connect again."""
    slow = BOTH | {"ping_interval": 1.0, "ping_timeout": 60.0}
    async with serving(**slow) as (server, url), aiohttp.ClientSession() as http:
        session = Session(server, url, http)
        await session.open()
        given_up = asyncio.ensure_future(session.poll())
        (socket,) = server.eio.sockets.values()
        await eventually(lambda: socket.polled)
        given_up.cancel()
        await asyncio.wait([given_up])
        await eventually(lambda: not server.eio.sockets)


async def test_a_poll_of_a_session_whose_heartbeat_ended_is_refused() -> None:
    """It waits no longer than a heartbeat takes."""
    hasty = BOTH | {"ping_interval": 60.0, "ping_timeout": 0.1}
    async with serving(**hasty) as (server, url), aiohttp.ClientSession() as http:
        session = Session(server, url, http)
        await session.open()
        server.eio.ping_interval = 0.1
        async with http.get(session.url) as answer:
            assert answer.status == 400
        assert server.eio.sockets == {}


async def test_polling_above_the_limit_of_an_address_gets_retry_after() -> None:
    """A polling client gets Retry-After; a page of another origin may read the reason."""
    settings = BOTH | {"rate_limits": "standard", "address_connections": 1, "cors_origins": "*"}
    headers = {"Origin": "http://elsewhere"}
    async with serving(**settings) as (_, url), aiohttp.ClientSession(headers=headers) as http:
        async with http.get(url + POLLING) as answer:
            assert answer.status == 200
        async with http.get(url + POLLING) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "5")
            assert answer.headers["Access-Control-Allow-Origin"] == "http://elsewhere"


@pytest.mark.parametrize("origin", ["http://elsewhere", "null"])
async def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    """Only allowed origins and the page's own are served, by either transport."""
    async with serving(**BOTH) as (_, url), aiohttp.ClientSession() as http:
        for query in (POLLING, QUERY):
            async with http.get(url + query, headers={"Origin": origin}) as answer:
                assert answer.status == 400
        async with http.get(url + POLLING, headers={"Origin": url}) as answer:
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == url
        async with http.options(url + POLLING, headers={"Origin": url}) as answer:
            assert answer.status == 200
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
