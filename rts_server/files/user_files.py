"""All files of one user in a room. There is no table: the objects themselves say whose they are."""

from __future__ import annotations

import asyncio
from typing import Any

from rts_server.files.store import ObjectStore
from rts_server.files.upload import Upload, pending_prefix
from rts_server.persistence import records
from rts_server.relay.queue_admin import QueueAdmin

AT_ONCE = 8


class UserFiles:
    """Raises Unavailable."""

    def __init__(self, store: ObjectStore, backlog: QueueAdmin) -> None:
        self._store = store
        self._backlog = backlog

    async def told(self, room_id: str, user_id: str) -> list[dict[str, Any]]:
        """The protocol's attachments, cited or not."""
        found = await self._found(room_id, user_id)
        return [upload.shown() for upload in found.values()]

    async def erase(self, room_id: str, user_id: str) -> list[str]:
        """Their ids. What is verified goes by the queue, as with its message."""
        found = await self._found(room_id, user_id)
        ids = sorted({upload.attachment_id for upload in found.values()})
        if ids:
            record = records.forwarded(room_id, erase=ids)
            await self._backlog.send("rooms", room_id, record.body)
        for key in found:
            if key.startswith(pending_prefix(room_id)):
                await self._store.delete(key)
        return ids

    async def _found(self, room_id: str, user_id: str) -> dict[str, Upload]:
        """By key: uploads that were verified, and those that only arrived."""
        found: dict[str, Upload] = {}
        for prefix in (pending_prefix(room_id), records.files_prefix(room_id)):
            names = await self._store.list_keys(prefix)
            for at in range(0, len(names), AT_ONCE):
                part = names[at : at + AT_ONCE]
                heads = await asyncio.gather(*map(self._store.head, part))
                for name, one in zip(part, heads, strict=True):
                    if one and one.upload and one.upload.user_id == user_id:
                        found[name] = one.upload
        return found
