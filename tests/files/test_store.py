"""The store's own conditions, which decide between requests that meet."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from rts_server import errors
from rts_server.config import Settings
from rts_server.dev import aws
from rts_server.files.store import Store
from tests.world import World, free_port


@pytest.fixture
async def store(world: World) -> AsyncIterator[Store]:
    """The bucket of the deployment."""
    made = Store(world.stack.settings)
    yield made
    await made.close()


async def test_only_what_was_looked_at_is_moved(world: World, store: Store) -> None:
    """A form posted between the look and the copy changes nothing: it has to be looked at anew."""
    name = secrets.token_hex(8)
    pending, target = f"pending/room/{name}", f"files/room/{name}"
    s3 = aws.client(world.stack.settings, "s3")
    s3.put_object(Bucket=world.stack.settings.bucket, Key=pending, Body=b"first")
    first = await store.head(pending)
    assert first is not None
    s3.put_object(Bucket=world.stack.settings.bucket, Key=pending, Body=b"other")
    for look in (
        store.digest(pending, first.etag),
        store.beginning(pending, first.etag, 4),
        store.move(pending, first.etag, target),
    ):
        with pytest.raises(errors.Unavailable):
            await look
    assert await store.head(target) is None
    other = await store.head(pending)
    assert other is not None
    await store.move(pending, other.etag, target)
    assert await store.text(target) == "other"
    assert await store.head(pending) is None


async def test_of_many_writers_one_succeeds(store: Store) -> None:
    """A small object is made once, whoever else tries at the same time."""
    key = f"cited/room/{secrets.token_hex(8)}"
    made = await asyncio.gather(*(store.write_once(key, str(n)) for n in range(12)))
    assert sum(made) == 1
    assert await store.text(key) == str(made.index(True))


async def test_a_store_that_is_away_is_unavailable() -> None:
    """Nobody listens: every request ends in time, in the error that may be repeated."""
    settings = Settings(s3_endpoint_url=f"http://127.0.0.1:{free_port()}")
    store = Store(settings)
    for request in (store.there(), store.head("x"), store.write_once("x", "y")):
        with pytest.raises(errors.Unavailable):
            await request
    await store.close()
