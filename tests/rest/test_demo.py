"""The pages: their headers, and the tokens that dev issues."""

from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from rts_server.config import Settings
from rts_server.rest.demo import _is_ours
from tests.helpers.world import World

PAGES = ("/", "/web/main.js", "/v1/docs")
DEEP = (
    "/web/" + "a/" * 2_000,
    "/web/" + "a" * 5_000,
    "/web/..%2f..%2fetc/passwd",
    "/web/%00",
    "/web/",
)


@pytest.mark.parametrize("path", PAGES)
async def test_pages_have_security_headers(world: World, path: str) -> None:
    """It loads only what the policy names and cannot be framed."""
    async with aiohttp.ClientSession(world.urls[0]) as http, http.get(path) as answer:
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", DEEP, ids=["deep", "long", "upwards", "zero", "none"])
async def test_unknown_page_files_are_not_found(world: World, path: str) -> None:
    """A path is looked up in a list: never on disk, never a 500."""
    url = URL(world.urls[0] + path, encoded=True)
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("host", ["rebound.example.com", "127.0.0.1.example.com", "[", ""])
async def test_dev_tokens_are_refused_under_a_foreign_host_name(world: World, host: str) -> None:
    """DNS rebinding: a foreign host name that resolves to this machine is refused."""
    url = world.urls[0] + "/dev/token?user=alice"
    async with aiohttp.ClientSession() as http, http.get(url, headers={"Host": host}) as answer:
        assert answer.status in (400, 403)
        assert "token" not in await answer.text()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("http://localhost:5173", "http://localhost:5173"), ("https://evil.example", None)],
)
async def test_pages_of_this_machine_may_read_a_token(
    world: World, origin: str, expected: str | None
) -> None:
    """A bundler serves a page from a port of its own (CORS); pages from elsewhere get nothing."""
    url = world.urls[0] + "/dev/token?user=alice"
    async with aiohttp.ClientSession() as http, http.get(url, headers={"Origin": origin}) as answer:
        assert answer.headers.get("Access-Control-Allow-Origin") == expected


@pytest.mark.parametrize(
    ("origin", "expected"), [("http://localhost:5173", 101), ("https://evil.example", 400)]
)
async def test_pages_of_this_machine_may_connect(world: World, origin: str, expected: int) -> None:
    """Under dev, at any port; the handshake of others is refused."""
    headers = {"Origin": origin, "Upgrade": "websocket", "Connection": "Upgrade"}
    headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    url = world.urls[0] + "/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        assert answer.status == expected


@pytest.mark.parametrize(
    "host",
    ["localhost:8000", "127.0.0.1", "127.0.0.2:80", "[::1]:9", "a.localhost", "told", "ui:3"],
)
def test_accepted_host_names_are_local_or_configured(host: str) -> None:
    """RTS_HOST and the origins of RTS_CORS_ORIGINS are allowed."""
    assert _is_ours(host, Settings(host="told", cors_origins="https://ui:3,https://other"))
