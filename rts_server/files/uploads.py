"""Uploads: from a presigned form to a file that is bound to a message (A6)."""

from __future__ import annotations

import asyncio
import secrets
import time
from fnmatch import fnmatchcase

from redis.asyncio import Redis

from rts_server import errors, keys, metrics
from rts_server.config import Settings, ms
from rts_server.files import magic
from rts_server.files.names import cleaned, disposition
from rts_server.files.store import Object, ObjectChanged, ObjectStore
from rts_server.files.upload import Upload, pending_key
from rts_server.persistence import records
from rts_server.protocol.event import rfc3339
from rts_server.protocol.media import essence
from rts_server.types.answers import GrantedAnswer, LinkAnswer
from rts_server.types.commands import UploadRequestPayload
from rts_server.types.objects import Attachment


class Uploads:
    """Grants, completes and binds uploads. The caller checks the membership."""

    def __init__(self, settings: Settings, store: ObjectStore, redis: Redis) -> None:
        self._settings = settings
        self._store = store
        self._redis = redis
        self._types = [one.strip() for one in settings.upload_types.split(",") if one.strip()]

    async def request(
        self, room_id: str, user_id: str, asked: UploadRequestPayload
    ) -> GrantedAnswer:
        """A grant for one key, one size, one type and one content. Raises UnsupportedType."""
        if not any(fnmatchcase(essence(asked["content_type"]), pattern) for pattern in self._types):
            raise errors.UnsupportedType("Files of this type are not taken.")
        attachment_id = secrets.token_hex(16)
        upload = Upload(
            room_id,
            attachment_id,
            user_id,
            cleaned(asked["name"]),
            asked["size"],
            asked["content_type"],
            asked["checksum_sha256"],
            asked.get("width", 0),
            asked.get("height", 0),
        )
        await self._store.check_reachable()
        seconds = self._settings.upload_ttl
        expires_at = rfc3339(time.time() + seconds)
        url, fields = await self._store.presign_post(upload, seconds)
        metrics.UPLOADS.labels("granted").inc()
        return {
            "attachment_id": attachment_id,
            "url": url,
            "fields": fields,
            "expires_at": expires_at,
        }

    async def complete(self, room_id: str, user_id: str, attachment_id: str) -> Attachment:
        """Verify what arrived and move it to where no grant reaches.

        Raises NotFound, and InvalidParam when it is not what was announced or was posted again
        after it was complete: it is deleted then.
        """
        try:
            return await self._complete(room_id, user_id, attachment_id)
        except (
            ObjectChanged
        ):  # by another request for the same: what that did is there at the second look
            return await self._complete(room_id, user_id, attachment_id)

    async def _complete(self, room_id: str, user_id: str, attachment_id: str) -> Attachment:
        key, target = pending_key(room_id, attachment_id), records.file_key(room_id, attachment_id)
        arrived = await self._store.head(key)  # first: what is moved meanwhile is at the target
        done, cited = await asyncio.gather(
            self._store.head(target),
            self._store.read_text(records.citation_key(room_id, attachment_id)),
        )
        upload = _own(done or arrived, room_id, user_id)
        if done:
            if arrived:
                await self._left(key, arrived, done)
            return upload.shown()
        if cited:  # erased with its message: a late POST does not bring it back
            await self._store.delete(key)
            raise errors.NotFound()
        assert arrived is not None
        if wrong := await self._wrong(key, arrived, upload):
            await self._store.delete(key)
            raise _refused("mismatched", "The upload is not what was announced.", wrong)
        await self._store.move(upload, arrived, target)
        await self._nothing_left(attachment_id)
        metrics.UPLOADS.labels("completed").inc()
        return upload.shown()

    async def _left(self, key: str, arrived: Object, done: Object) -> None:
        """Delete what lies at the source of a file; raises InvalidParam unless it is just that."""
        attachment_id = key.rpartition("/")[2]
        if await self._redis.exists(keys.moved_upload(attachment_id)):
            again = await self._store.head(key) is not None  # or it was seen before it went
        else:  # interrupted before that was said, or Redis has forgotten
            again = arrived.mark != done.made_of
        await self._store.delete(key)
        await self._nothing_left(attachment_id)
        if again:
            why = "Posted again after it was complete."
            raise _refused("posted_again", "The upload was complete already.", why)

    async def _nothing_left(self, attachment_id: str) -> None:
        """What lies there from now on was posted again; the store alone tells seconds only."""
        await self._redis.set(
            keys.moved_upload(attachment_id), "", px=ms(self._settings.idempotency_ttl)
        )

    async def _wrong(self, key: str, arrived: Object, upload: Upload) -> str:
        """What of an object differs from what was signed; empty when nothing does."""
        if arrived.size != upload.size:
            return "Another size."
        if arrived.content_type != upload.content_type:
            return "Another type."
        checksum = arrived.checksum or await self._store.digest(key, arrived.etag)
        if checksum != upload.checksum_sha256:
            return "Other bytes."
        head = await self._store.first_bytes(key, arrived.etag, magic.HEAD)
        return "" if magic.fits(upload.content_type, head) else "Not a file of this type."

    async def bind(
        self, room_id: str, user_id: str, message_id: str, ids: list[str]
    ) -> list[Attachment] | None:
        """The attachments of a message, bound to it from now on. None: they were erased with it.

        Raises InvalidParam for what is not the user's own, not complete, or cited by another.
        """
        looks = (self._look(room_id, user_id, message_id, one) for one in ids)
        found = await asyncio.gather(*looks)
        if None in found:
            return None
        for one in ids:
            await self._bind_one(room_id, message_id, one)
        return [attachment for attachment in found if attachment is not None]

    async def _look(
        self, room_id: str, user_id: str, message_id: str, attachment_id: str
    ) -> Attachment | None:
        """Check one attachment before any is bound. None: it was erased with this message."""
        cited = await self._store.read_text(records.citation_key(room_id, attachment_id))
        if cited not in (None, message_id):
            raise _not_citable()
        found = await self._store.head(records.file_key(room_id, attachment_id))
        if found is None and cited:
            return None
        try:
            return _own(found, room_id, user_id).shown()
        except errors.NotFound:
            raise _not_citable() from None

    async def _bind_one(self, room_id: str, message_id: str, attachment_id: str) -> None:
        """Write the binding, once for all instances, before the message is in the log."""
        key = records.citation_key(room_id, attachment_id)
        if await self._store.write_once(key, message_id):
            return
        bound = await self._store.read_text(key)
        if bound is None:
            raise errors.Unavailable()  # somebody is just writing it
        if bound != message_id:
            raise _not_citable()

    async def download_url(self, room_id: str, attachment: Attachment) -> LinkAnswer:
        """A presigned download URL."""
        content_type, seconds = attachment["content_type"], self._settings.download_ttl
        inline = magic.shown_inline(content_type)
        expires_at = rfc3339(time.time() + seconds)
        url = await self._store.presign_get(
            records.file_key(room_id, attachment["attachment_id"]),
            content_type,
            disposition(attachment["name"], inline=inline),
            seconds,
        )
        return {"url": url, "expires_at": expires_at}


def _own(found: Object | None, room_id: str, user_id: str) -> Upload:
    """The upload, if it is there and this user's. Raises NotFound."""
    upload = found.upload if found else None
    if upload is None or (upload.room_id, upload.user_id) != (room_id, user_id):
        raise errors.NotFound()
    return upload


def _refused(result: str, message: str, why: str) -> errors.InvalidParam:
    metrics.UPLOADS.labels(result).inc()
    return errors.InvalidParam(message, details={"attachment_id": [why]})


def _not_citable() -> errors.InvalidParam:
    said = "Not yours, not complete, or cited already."
    return errors.InvalidParam(details={"attachments": [said]})
