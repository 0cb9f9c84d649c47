"""All files of one user in a room, found by the metadata of the objects: there is no table."""

from __future__ import annotations

import asyncio

from rts_server.files.store import ObjectStore
from rts_server.files.upload import Upload, pending_prefix
from rts_server.persistence import records
from rts_server.relay.queue_admin import QueueAdmin
from rts_server.types.objects import Attachment

CONCURRENT_HEADS = 8
"""HEAD requests at once."""


class UserFiles:
    """Finds and erases a user's files. All methods raise Unavailable."""

    def __init__(self, store: ObjectStore, queue_admin: QueueAdmin) -> None:
        self._store = store
        self._queue_admin = queue_admin

    async def attachments(self, room_id: str, user_id: str) -> list[Attachment]:
        """Return the user's files as attachments, whether a message cites them or not."""
        found = await self._found(room_id, user_id)
        return [upload.shown() for upload in found.values()]

    async def erase(self, room_id: str, user_id: str) -> list[str]:
        """Erase the user's files in a room; return their attachment ids.

        Completed files are deleted by the Lambda, like those of a deleted message.
        """
        found = await self._found(room_id, user_id)
        ids = sorted({upload.attachment_id for upload in found.values()})
        if ids:
            record = records.file_changes_record(room_id, erase=ids)
            await self._queue_admin.enqueue("rooms", room_id, record.body)
        for key in found:
            if key.startswith(pending_prefix(room_id)):
                await self._store.delete(key)
        return ids

    async def _found(self, room_id: str, user_id: str) -> dict[str, Upload]:
        """Return the user's uploads by object key, completed and pending ones."""
        found: dict[str, Upload] = {}
        for prefix in (pending_prefix(room_id), records.files_prefix(room_id)):
            batch: list[str] = []
            async for name in self._store.list_keys(prefix):
                batch.append(name)
                if len(batch) == CONCURRENT_HEADS:
                    found |= await self._uploads_of(user_id, batch)
                    batch = []
            found |= await self._uploads_of(user_id, batch)
        return found

    async def _uploads_of(self, user_id: str, names: list[str]) -> dict[str, Upload]:
        heads = await asyncio.gather(*map(self._store.head, names))
        return {
            name: one.upload
            for name, one in zip(names, heads, strict=True)
            if one and one.upload and one.upload.user_id == user_id
        }
