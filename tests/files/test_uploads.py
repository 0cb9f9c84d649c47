"""Completion: once, of exactly one object, whoever posts or asks how often."""

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
from rts_server.files.store import Object, ObjectStore
from rts_server.files.upload import META, pending_key
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

    async def head(self, key: str) -> Object | None:
        """As it was before."""
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
        """A grant for PICTURE."""
        asked = cast(UploadRequestPayload, asking(self.room_id, PICTURE))
        return await self.uploads.request(self.room_id, ALICE, asked)

    async def complete(self, grant: GrantedAnswer, uploads: Uploads | None = None) -> Any:
        """The attachment."""
        by = uploads or self.uploads
        return await by.complete(self.room_id, ALICE, grant["attachment_id"])

    async def interrupted(self, grant: GrantedAnswer) -> None:
        """A completion that ends between the copy and the deletion of its source."""
        with pytest.raises(errors.Unavailable):
            await self.complete(grant, self.failing)
        assert await self.pending(grant)

    async def refused(self, grant: GrantedAnswer) -> Mapping[str, Any] | None:
        """The details of the refusal of a completion."""
        with pytest.raises(errors.InvalidParam) as raised:
            await self.complete(grant)
        return raised.value.details

    async def pending(self, grant: GrantedAnswer) -> bool:
        """Whether something lies where the form brings it."""
        key = pending_key(self.room_id, grant["attachment_id"])
        return await self.store.head(key) is not None

    async def close(self) -> None:
        """Nobody asks any more."""
        for store in (self.store, self.overtaken, self._interrupted):
            await store.close()


@pytest.fixture
async def room(world: World) -> AsyncIterator[Room]:
    """One for each test."""
    async with Redis.from_url(world.stack.settings.redis_url) as redis:
        made = Room(world.stack.settings, redis)
        yield made
        await made.close()


async def test_another_type_than_was_signed_is_found_out(room: Room, world: World) -> None:
    """Also where the store did not hold to the form: refused at completion, and deleted."""
    grant = await room.granted()
    signed = {n.removeprefix(META): v for n, v in grant["fields"].items() if n.startswith(META)}
    aws.client(world.stack.settings, "s3").put_object(
        Bucket=world.stack.settings.bucket,
        Key=pending_key(room.room_id, grant["attachment_id"]),
        Body=PICTURE,
        ContentType="text/html",
        Metadata=signed,
    )
    assert await room.refused(grant) == {"attachment_id": ["Another type."]}
    assert not await room.pending(grant)


@pytest.mark.parametrize("pause", [0, SECOND], ids=["at once", "in another second"])
@pytest.mark.parametrize("content", [PICTURE, OTHER], ids=["same bytes", "other bytes"])
async def test_what_is_posted_again_is_refused(room: Room, content: bytes, pause: float) -> None:
    """Once: it is deleted, the file stays the very one it was, and asking again answers it."""
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


async def test_posted_twice_before_it_is_complete(room: Room) -> None:
    """The answer to the first POST was lost: the second takes its place."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await asyncio.sleep(SECOND)
    assert await post(grant, PICTURE) == 204
    attachment = await room.complete(grant)
    assert not await room.pending(grant)
    assert await room.complete(grant) == attachment


async def test_a_completion_that_was_interrupted_is_finished(room: Room) -> None:
    """Copied, and then the process ended: the source is found to be just that, and goes."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.interrupted(grant)
    await asyncio.sleep(SECOND)
    attachment = await room.complete(grant)
    assert not await room.pending(grant)
    assert await room.complete(grant) == attachment


async def test_posted_again_after_an_interruption(room: Room) -> None:
    """What lies there is not what the file was made of, though nobody had deleted that."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.interrupted(grant)
    await asyncio.sleep(SECOND)
    assert await post(grant, PICTURE) == 204
    assert await room.refused(grant) is not None
    assert not await room.pending(grant)


async def test_posted_again_after_one_that_finished(room: Room) -> None:
    """Whoever finishes for another says so too: at once is not too early to be refused."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.interrupted(grant)
    await room.complete(grant)
    assert await post(grant, PICTURE) == 204
    assert await room.refused(grant) is not None
    assert not await room.pending(grant)


async def test_posted_again_when_redis_has_forgotten(room: Room) -> None:
    """Then the second in which it arrived tells."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.complete(grant)
    await room.redis.delete(keys.moved_upload(grant["attachment_id"]))
    await asyncio.sleep(SECOND)
    assert await post(grant, PICTURE) == 204
    assert await room.refused(grant) is not None
    assert not await room.pending(grant)


async def test_an_old_look_is_no_second_post(room: Room) -> None:
    """Who saw the source, and then the file and that it is complete, is answered the file."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    room.overtaken.meanwhile = room.complete(grant)
    assert (await room.complete(grant, room.late))["attachment_id"] == grant["attachment_id"]
    assert room.overtaken.meanwhile is None


async def test_nobody_but_its_owner_finds_what_was_posted_again(room: Room) -> None:
    """Another member's completion is `not_found`, and deletes nothing."""
    grant = await room.granted()
    assert await post(grant, PICTURE) == 204
    await room.complete(grant)
    assert await post(grant, OTHER) == 204
    with pytest.raises(errors.NotFound):
        await room.uploads.complete(room.room_id, "bob", grant["attachment_id"])
    assert await room.pending(grant)


async def test_what_was_erased_is_not_posted_again(room: Room) -> None:
    """Cited, and gone with its message: `not_found`, and what was posted goes too."""
    grant = await room.granted()
    assert await room.store.write_once(citation_key(room.room_id, grant["attachment_id"]), "m")
    assert await post(grant, PICTURE) == 204
    with pytest.raises(errors.NotFound):
        await room.complete(grant)
    assert not await room.pending(grant)


async def test_completions_that_meet_all_answer_it(room: Room) -> None:
    """Many at once of one upload, posted once: no well-behaved client is refused."""
    for _ in range(5):
        grant = await room.granted()
        assert await post(grant, PICTURE) == 204
        done = await asyncio.gather(*(room.complete(grant) for _ in range(6)))
        assert [one["attachment_id"] for one in done] == [grant["attachment_id"]] * 6
        assert not await room.pending(grant)
