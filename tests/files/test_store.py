"""The conditions of the store that decide between concurrent requests."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rts_server import errors
from rts_server.config import Settings
from rts_server.files.store import (
    SOURCE_FINGERPRINT,
    ObjectChanged,
    ObjectStore,
    StoredObject,
    fingerprint,
)
from rts_server.files.upload import Upload
from rts_server.tools.dev import aws
from tests.helpers.file_samples import LONGEST
from tests.helpers.world import World, free_port


@pytest.fixture
async def store(world: World) -> AsyncIterator[ObjectStore]:
    """The bucket of the deployment."""
    made = ObjectStore(world.stack.settings)
    yield made
    await made.close()


def posted(world: World, upload: Upload, content: bytes) -> None:
    """Write an object as a form would, without the checks of the store."""
    aws.client(world.stack.settings, "s3").put_object(
        Bucket=world.stack.settings.bucket,
        Key=upload.pending_key,
        Body=content,
        ContentType=upload.content_type,
        Metadata=upload.metadata(),
    )


async def test_only_the_object_that_was_read_is_moved(world: World, store: ObjectStore) -> None:
    """A form that is posted between the read and the copy raises ObjectChanged."""
    upload = replace(LONGEST, attachment_id=secrets.token_hex(16))
    pending, target = upload.pending_key, f"files/room/{upload.attachment_id}"
    posted(world, upload, b"first")
    first = await store.head(pending)
    assert first is not None
    posted(world, upload, b"other")
    for look in (
        store.digest(pending, first.etag),
        store.first_bytes(pending, first.etag, 4),
        store.move(upload, first, target),
    ):
        with pytest.raises(ObjectChanged):
            await look
    assert await store.head(target) is None
    other = await store.head(pending)
    assert other is not None
    await store.move(upload, other, target)
    assert await store.read_text(target) == "other"
    assert await store.head(pending) is None


async def test_a_copy_keeps_the_fingerprint_of_its_source(world: World, store: ObjectStore) -> None:
    """The copy keeps all signed metadata and the fingerprint, below S3's 2 KB."""
    upload = replace(LONGEST, attachment_id=secrets.token_hex(16))
    target = f"files/room/{upload.attachment_id}"
    posted(world, upload, b"content")
    arrived = await store.head(upload.pending_key)
    assert arrived is not None
    assert arrived.source_fingerprint is None
    await store.move(upload, arrived, target)
    moved = await store.head(target)
    assert moved is not None
    assert (moved.upload, moved.source_fingerprint) == (upload, arrived.fingerprint)
    kept = upload.metadata() | {SOURCE_FINGERPRINT: arrived.fingerprint}
    assert sum(len(name) + len(value) for name, value in kept.items()) <= 2048


def test_the_same_bytes_in_another_second_have_another_fingerprint() -> None:
    """The ETag alone does not change with time; S3 gives whole seconds."""
    at = datetime(2026, 11, 25, 5, 38, 7, tzinfo=UTC)
    assert fingerprint('"abc"', at) == "abc 2026-11-25T05:38:07Z"
    assert fingerprint('"abc"', at + timedelta(seconds=1)) != fingerprint('"abc"', at)
    assert fingerprint('"abd"', at) != fingerprint('"abc"', at)


async def test_a_file_is_never_overwritten() -> None:
    """A copy requires an absent target (the local store ignores that); 412 means changed."""
    asked: dict[str, str] = {}

    async def occupied(request: web.Request) -> web.Response:
        asked.update({name.lower(): value for name, value in request.headers.items()})
        text = "<Error><Code>PreconditionFailed</Code></Error>"
        return web.Response(status=412, text=text, content_type="application/xml")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", occupied)
    async with TestServer(app) as server:
        store = ObjectStore(Settings(s3_endpoint_url=str(server.make_url(""))))
        arrived = StoredObject('"abc"', 7, "x/y", None, LONGEST, "abc 2026-11-25T05:38:07Z", None)
        with pytest.raises(ObjectChanged):
            await store.move(LONGEST, arrived, "files/room/a")
        await store.close()
    assert asked["if-none-match"] == "*"
    assert asked["x-amz-copy-source-if-match"] == '"abc"'
    assert asked["x-amz-metadata-directive"] == "REPLACE"


async def test_of_many_writers_one_succeeds(store: ObjectStore) -> None:
    """A small object is created once, however many try at the same time."""
    key = f"cited/room/{secrets.token_hex(8)}"
    made = await asyncio.gather(*(store.write_once(key, str(n)) for n in range(12)))
    assert sum(made) == 1
    assert await store.read_text(key) == str(made.index(True))


async def test_a_store_that_is_away_is_unavailable() -> None:
    """If nobody listens, every request ends in time with a retryable error."""
    settings = Settings(s3_endpoint_url=f"http://127.0.0.1:{free_port()}")
    store = ObjectStore(settings)
    for request in (store.check_reachable(), store.head("x"), store.write_once("x", "y")):
        with pytest.raises(errors.Unavailable):
            await request
    await store.close()
