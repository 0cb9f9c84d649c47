"""Completing an upload: exactly one object, however often it is posted or completed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError
from redis.asyncio import Redis

from rts_server import errors, keys
from rts_server.config import Settings
from rts_server.files.store import ObjectStore, StoredObject
from rts_server.files.upload import METADATA_HEADER, pending_key
from rts_server.files.uploads import Uploads
from rts_server.persistence.records import citation_key, file_key
from rts_server.tools.dev import aws
from rts_server.types.answers import GrantedAnswer
from rts_server.types.commands import UploadRequestPayload
from tests.helpers.file_samples import png
from tests.helpers.upload_form import asking, post
from tests.helpers.world import World

PICTURE = png(blank=500)
OTHER = PICTURE[:-1] + b"?"
ALICE = "alice"
SECOND = 1.1
"""The store tells times by the second."""


class Interrupted(ObjectStore):
    """A store that is away between the copy and the deletion of its source."""

    def _delete(self, key: str) -> None:
        raise EndpointConnectionError(endpoint_url=key)


class Overtaken(ObjectStore):
    """Between its first look and its second, somebody else does all there is to do."""

    meanwhile: Awaitable[object] | None = None

    async def head(self, key: str) -> StoredObject | None:
        """Return the object as it was at the first read."""
        found = await super().head(key)
        if self.meanwhile is not None:
            other, self.meanwhile = self.meanwhile, None
            await other
        return found


class Room:
    """A room of one's own, and its uploads by the deployment's bucket."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self.store, self.overtaken = ObjectStore(settings), Overtaken(settings)
        self._interrupted = Interrupted(settings)
        self.redis = redis
        self.room_id = secrets.token_hex(8)
        self.uploads = Uploads(settings, self.store, redis)
        self.late = Uploads(settings, self.overtaken, redis)
        self.failing = Uploads(settings, self._interrupted, redis)

    async def granted(self) -> GrantedAnswer:
        """Return an upload form for PICTURE."""
        asked = cast(UploadRequestPayload, asking(self.room_id, PICTURE))
        return await self.uploads.request(self.room_id, ALICE, asked)

    async def complete(self, grant: GrantedAnswer, uploads: Uploads | None = None) -> Any:
        """Complete the upload; return the attachment."""
        by = uploads or self.uploads
        return await by.complete(self.room_id, ALICE, grant["attachment_id"])

    async def interrupted(self, grant: GrantedAnswer) -> None:
        """Run a completion that ends between the copy and the deletion of its source."""
        with pytest.raises(errors.Unavailable):
            await self.complete(grant, self.failing)
        assert await self.pending(grant)

    async def refused(self, grant: GrantedAnswer) -> Mapping[str, Any] | None:
        """Return the details of a refused completion."""
        with pytest.raises(errors.InvalidParam) as raised:
            await self.complete(grant)
        return raised.value.details

    async def pending(self, grant: GrantedAnswer) -> bool:
        """Return whether an object is at the key of the form."""
        key = pending_key(self.room_id, grant["attachment_id"])
        return await self.store.head(key) is not None

    async def close(self) -> None:
        """Close the connections."""
        for store in (self.store, self.overtaken, self._interrupted):
            await store.close()


@pytest.fixture
async def room(world: World) -> AsyncIterator[Room]:
    """A room for each test."""
    async with Redis.from_url(world.stack.settings.redis_url) as redis:
        made = Room(world.stack.settings, redis)
        yield made
        await made.close()


async def test_another_type_than_signed_is_refused(room: Room, world: World) -> None:
    """It is refused at completion and deleted, even if the store did not enforce the form."""
    grant = await room.granted()
    signed = {
        n.removeprefix(METADATA_HEADER): v
        for n, v in grant["fields"].items()
        if n.startswith(METADATA_HEADER)
    }
    aws.client(world.stack.settings, "s3").put_object(
        Bucket=world.stack.settings.bucket,
        Key=pending_key(room.room_id, grant["attachment_id"]),
        Body=PICTURE,
        ContentType="text/html",
        Metadata=signed,
    )
    assert await room.refused(grant) == {"attachment_id": ["The content type differs."]}
    assert not await room.pending(grant)


@pytest.mark.parametrize("pause", [0, SECOND], ids=["at once", "in another second"])
@pytest.mark.parametrize("content", [PICTURE, OTHER], ids=["same bytes", "other bytes"])
async def test_a_second_post_after_completion_is_refused(
    room: Room, content: bytes, pause: float
) -> None:
    """It is refused once and deleted; the file does not change, and completing again returns it."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    attachment = await room.complete(grant)
    key = file_key(room.room_id, grant["attachment_id"])
    file = await room.store.head(key)
    await asyncio.sleep(pause)
    assert await post(grant, content) == 204
    assert await room.refused(grant) == {"attachment_id": ["Posted again after it was complete."]}
    assert not await room.pending(grant)
    assert await room.store.head(key) == file
    assert await room.complete(grant) == attachment


async def test_a_second_post_before_completion_replaces_the_first(room: Room) -> None:
    """A client whose first POST got no answer may post again."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await asyncio.sleep(SECOND)
    assert await post(grant, PICTURE) == 204
    attachment = await room.complete(grant)
    assert not await room.pending(grant)
    assert await room.complete(grant) == attachment


async def test_an_interrupted_completion_is_finished(room: Room) -> None:
    """After a crash behind the copy the next try recognizes the source and deletes it."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.interrupted(grant)
    await asyncio.sleep(SECOND)
    attachment = await room.complete(grant)
    assert not await room.pending(grant)
    assert await room.complete(grant) == attachment


async def test_a_second_post_after_an_interruption_is_refused(room: Room) -> None:
    """The object is not the source of the file, although nobody had deleted the source."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.interrupted(grant)
    await asyncio.sleep(SECOND)
    assert await post(grant, PICTURE) == 204
    assert await room.refused(grant) is not None
    assert not await room.pending(grant)


async def test_a_second_post_after_a_finished_interruption_is_refused(room: Room) -> None:
    """Whoever finishes a completion notes that too, so even an immediate post is refused."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.interrupted(grant)
    await room.complete(grant)
    assert await post(grant, PICTURE) == 204
    assert await room.refused(grant) is not None
    assert not await room.pending(grant)


async def test_a_second_post_is_refused_after_a_loss_of_redis(room: Room) -> None:
    """Then the second of the upload in the fingerprint decides."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.complete(grant)
    await room.redis.delete(keys.moved_upload(grant["attachment_id"]))
    await asyncio.sleep(SECOND)
    assert await post(grant, PICTURE) == 204
    assert await room.refused(grant) is not None
    assert not await room.pending(grant)


async def test_an_outdated_read_is_no_second_post(room: Room) -> None:
    """A request that read the source before the completion gets the file."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    room.overtaken.meanwhile = room.complete(grant)
    assert (await room.complete(grant, room.late))["attachment_id"] == grant["attachment_id"]
    assert room.overtaken.meanwhile is None


async def test_only_the_owner_finds_a_second_post(room: Room) -> None:
    """A completion by another member is `not_found` and deletes nothing."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.complete(grant)
    assert await post(grant, OTHER) == 204
    with pytest.raises(errors.NotFound):
        await room.uploads.complete(room.room_id, "bob", grant["attachment_id"])
    assert await room.pending(grant)


async def test_an_erased_file_cannot_be_posted_again(room: Room) -> None:
    """A file that was erased with its message is `not_found`, and the new object is deleted."""
    grant = await room.granted()
    assert await room.store.write_once(citation_key(room.room_id, grant["attachment_id"]), "m")
    assert await post(grant, PICTURE) == 204
    with pytest.raises(errors.NotFound):
        await room.complete(grant)
    assert not await room.pending(grant)


async def test_concurrent_completions_all_return_the_file(room: Room) -> None:
    """Many completions of one upload at the same time all succeed."""
    for _ in range(5):
        grant = await room.granted()
        assert await post(grant, PICTURE) == 204
        done = await asyncio.gather(*(room.complete(grant) for _ in range(6)))
        assert [one["attachment_id"] for one in done] == [grant["attachment_id"]] * 6
        assert not await room.pending(grant)
