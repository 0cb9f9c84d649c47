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
from rts_server.files.store import ObjectChanged, ObjectStore, StoredObject
from rts_server.files.upload import Upload, pending_key
from rts_server.persistence import records
from rts_server.protocol.event import rfc3339
from rts_server.protocol.media import essence
from rts_server.redis_client.pipeline import CommandPipe, results_of
from rts_server.types.answers import GrantedAnswer, LinkAnswer
from rts_server.types.commands import UploadRequestPayload
from rts_server.types.objects import Attachment


class Uploads:
    """Grants, completes and binds uploads. The caller checks the membership."""

    def __init__(self, settings: Settings, store: ObjectStore, redis: Redis | CommandPipe) -> None:
        self._settings = settings
        self._store = store
        self._redis = redis
        self._types = [one.strip() for one in settings.upload_types.split(",") if one.strip()]

    async def request(
        self, room_id: str, user_id: str, payload: UploadRequestPayload
    ) -> GrantedAnswer:
        """Return a presigned form for exactly one key, size, content type and checksum (A6).

        Raises UnsupportedType.
        """
        content_type = essence(payload["content_type"])
        if not any(fnmatchcase(content_type, pattern) for pattern in self._types):
            raise errors.UnsupportedType("Files of this type are not accepted.")
        attachment_id = secrets.token_hex(16)
        upload = Upload(
            room_id,
            attachment_id,
            user_id,
            cleaned(payload["name"]),
            payload["size"],
            payload["content_type"],
            payload["checksum_sha256"],
            payload.get("width", 0),
            payload.get("height", 0),
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
        """Verify an uploaded object and move it to a key that no upload form can write.

        Raises NotFound, and InvalidParam if the object is not what was announced, or was posted
        again after completion; the object is deleted then.
        """
        try:
            return await self._complete(room_id, user_id, attachment_id)
        except ObjectChanged:  # another request completed it meanwhile: the second try sees that
            return await self._complete(room_id, user_id, attachment_id)

    async def _complete(self, room_id: str, user_id: str, attachment_id: str) -> Attachment:
        key, target = pending_key(room_id, attachment_id), records.file_key(room_id, attachment_id)
        # The source before the target: an object that is moved in between is found at the target.
        arrived = await self._store.head(key)
        done, cited = await asyncio.gather(
            self._store.head(target),
            self._store.read_text(records.citation_key(room_id, attachment_id)),
        )
        upload = _own(done or arrived, room_id, user_id)
        if done:
            if arrived:
                await self._delete_leftover(key, arrived, done)
            return upload.shown()
        if cited:  # the file was erased with its message: a late POST does not bring it back
            await self._store.delete(key)
            raise errors.NotFound()
        assert arrived is not None
        if wrong := await self._mismatch(key, arrived, upload):
            await self._store.delete(key)
            raise _count_and_refuse("mismatched", "The upload is not what was announced.", wrong)
        await self._store.move(upload, arrived, target)
        await self._mark_moved(attachment_id)
        metrics.UPLOADS.labels("completed").inc()
        return upload.shown()

    async def _delete_leftover(self, key: str, arrived: StoredObject, done: StoredObject) -> None:
        """Delete an object at the key of a completed upload.

        Raises InvalidParam if it was posted again, and is not just the source of the move.
        """
        attachment_id = key.rpartition("/")[2]
        asked = ("EXISTS", keys.moved_upload(attachment_id))
        if (await results_of(self._redis, [asked]))[0]:
            # The source was deleted; read again, because ours may be from before the deletion.
            again = await self._store.head(key) is not None
        else:  # the move was interrupted before it was noted, or Redis lost the note
            again = arrived.fingerprint != done.source_fingerprint
        await self._store.delete(key)
        await self._mark_moved(attachment_id)
        if again:
            reason = "Posted again after it was complete."
            raise _count_and_refuse("posted_again", "The upload was complete already.", reason)

    async def _mark_moved(self, attachment_id: str) -> None:
        """Note that the source is deleted: an object that appears there now was posted again.

        The fingerprint alone does not distinguish objects of the same second.
        """
        name, ttl = keys.moved_upload(attachment_id), ms(self._settings.idempotency_ttl)
        await results_of(self._redis, [("SET", name, "", "PX", ttl)])

    async def _mismatch(self, key: str, arrived: StoredObject, upload: Upload) -> str:
        """Return in which way an object differs from its upload form; empty if it does not."""
        if arrived.size != upload.size:
            return "The size differs."
        if arrived.content_type != upload.content_type:
            return "The content type differs."
        checksum = arrived.checksum or await self._store.digest(key, arrived.etag)
        if checksum != upload.checksum_sha256:
            return "The checksum differs."
        head = await self._store.first_bytes(key, arrived.etag, magic.SIGNATURE_BYTES)
        if not magic.matches_type(upload.content_type, head):
            return "The first bytes do not match the content type."
        return ""

    async def bind(
        self, room_id: str, user_id: str, message_id: str, ids: list[str]
    ) -> list[Attachment] | None:
        """Bind files to a message and return them as attachments; None if they were erased with it.

        Raises InvalidParam if a file is not the user's own, not complete, or bound to another
        message.
        """
        checks = (self._check(room_id, user_id, message_id, one) for one in ids)
        found = await asyncio.gather(*checks)
        if None in found:
            return None
        for one in ids:
            await self._bind_one(room_id, message_id, one)
        return [attachment for attachment in found if attachment is not None]

    async def _check(
        self, room_id: str, user_id: str, message_id: str, attachment_id: str
    ) -> Attachment | None:
        """Check one file, before any is bound; None if it was erased with this message."""
        cited = await self._store.read_text(records.citation_key(room_id, attachment_id))
        if cited not in (None, message_id):
            raise _not_attachable()
        found = await self._store.head(records.file_key(room_id, attachment_id))
        if found is None and cited:
            return None
        try:
            return _own(found, room_id, user_id).shown()
        except errors.NotFound:
            raise _not_attachable() from None

    async def _bind_one(self, room_id: str, message_id: str, attachment_id: str) -> None:
        """Write the binding, once for all instances, before the message is in the log."""
        key = records.citation_key(room_id, attachment_id)
        if await self._store.write_once(key, message_id):
            return
        bound = await self._store.read_text(key)
        if bound is None:
            raise errors.Unavailable()  # another request is writing it
        if bound != message_id:
            raise _not_attachable()

    async def download_url(self, room_id: str, attachment: Attachment) -> LinkAnswer:
        """Return a presigned download URL and its expiry."""
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


def _own(found: StoredObject | None, room_id: str, user_id: str) -> Upload:
    """Return the upload. Raises NotFound if it does not exist or is not this user's."""
    upload = found.upload if found else None
    if upload is None or (upload.room_id, upload.user_id) != (room_id, user_id):
        raise errors.NotFound()
    return upload


def _count_and_refuse(result: str, message: str, reason: str) -> errors.InvalidParam:
    metrics.UPLOADS.labels(result).inc()
    return errors.InvalidParam(message, details={"attachment_id": [reason]})


def _not_attachable() -> errors.InvalidParam:
    reason = "Not yours, not complete, or attached to another message."
    return errors.InvalidParam(details={"attachments": [reason]})
