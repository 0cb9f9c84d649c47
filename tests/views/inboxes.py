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
from rts_server.views.user_memberships import UserMemberships

NO_ARCHIVE = cast(Archive, None)


def inbox_reader(redis: Redis, archive: Archive = NO_ARCHIVE) -> InboxReader:
    """An inbox reader; without an archive it serves warm rooms."""
    drains = RoomDrains(Settings(jwt_secret="x"), "origin", redis, archive)
    return InboxReader(archive, user_memberships(redis, archive), SnapshotReader(redis), drains)


def user_memberships(redis: Redis, archive: Archive = NO_ARCHIVE) -> UserMemberships:
    """The memberships in the user index; without an archive it must be complete."""
    return UserMemberships(archive, UserRooms(redis))
