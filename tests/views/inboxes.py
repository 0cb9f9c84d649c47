"""Inboxes that are read from Redis alone."""

from __future__ import annotations

from typing import cast

from redis.asyncio import Redis

from rts_server.config import Settings
from rts_server.persistence.archive import Archive
from rts_server.persistence.user_rooms import UserRooms
from rts_server.roomlog.drains import RoomDrains
from rts_server.views.inbox import InboxReader
from rts_server.views.snapshots import SnapshotReader


def lists(redis: Redis, archive: object = None) -> InboxReader:
    """An inbox reader without an archive, for warm rooms."""
    kept = cast(Archive, archive)
    drains = RoomDrains(Settings(jwt_secret="x"), "origin", redis, kept)
    return InboxReader(kept, UserRooms(redis), SnapshotReader(redis), drains)
