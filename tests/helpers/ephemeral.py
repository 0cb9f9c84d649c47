"""Publishes events that are not stored, at the head of a room."""

from __future__ import annotations

from pathlib import Path

from rts_server import keys
from rts_server.redis_client.pipeline import CommandPipe, channels_of
from rts_server.roomlog.script import room_script

_EPHEMERAL = room_script(Path(__file__).with_name("ephemeral.lua"))


async def publish(redis: CommandPipe, room_id: str, user_id: str, kind: str, text: str) -> bool:
    """Publish; return False if the user is not a member."""
    args = [user_id, channels_of(redis).room(room_id), kind, text]
    return bool(await _EPHEMERAL.evaluate(redis, keys.room(room_id)[:9], args) == b"warm")
