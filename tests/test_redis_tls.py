"""Redis over TLS, on the whole path of a message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as Away

from rts_server.config_loading import load
from tests.helpers import tls
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.valkey import connect
from tests.helpers.world import Process, World, name


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a Redis that accepts only TLS, and its CA certificate."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with tls.running(folder) as (url, authority, what):
        print("TLS by", what)
        yield url, authority


async def test_a_message_travels_over_tls(
    world: World, tmp_path: Path, encrypted: tuple[str, Path]
) -> None:
    """Scripts, pub/sub and outbox work over rediss://."""
    url, authority = encrypted
    redis_url = f"{url}?ssl_ca_certs={authority}"
    environment = world.stack.environment() | {"RTS_REDIS_URL": redis_url}
    relay = Process("relay", environment, tmp_path / "relay.log")
    relay.start()
    try:
        async with (
            world.instance(tmp_path, RTS_REDIS_URL=redis_url) as (_, address),
            JsClient() as a,
            JsClient() as b,
        ):
            alice, bob = name("alice"), name("bob")
            await a.connect(address, world.token(alice))
            await b.connect(address, world.token(bob))
            asked = {"type": "direct", "members": [bob]}
            room_id = (await ok(a, "room.create", asked))["room"]["room_id"]
            message = {"room_id": room_id, "client_msg_id": "m", "text": "hi"}
            assert (await ok(a, "message.send", message))["status"] == "queued"
            await b.wait_for(lambda e: bool(e["type"] == "message.new"))
    finally:
        relay.stop()


async def test_an_unknown_certificate_is_refused(encrypted: tuple[str, Path]) -> None:
    """So is a server that does not speak TLS."""
    url, authority = encrypted
    for address, refused in (
        (f"{url}?ssl_ca_certs={authority}", False),
        (url, True),
        (url.replace("rediss", "redis"), True),
    ):
        client = connect(load({"RTS_REDIS_URL": address}).redis_url, 1)
        try:
            if refused:
                with pytest.raises((Away, OSError)):
                    await client.ping()
            else:
                assert await client.ping()
        finally:
            await client.aclose()
