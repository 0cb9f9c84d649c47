"""The sizes that the protocol allows (docs/protocol.md, "Limits")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SizeLimits:
    """Bytes, characters and numbers of items at most.

    They always apply: RTS_LIMITS switches only rates and connection limits. `*_points` count
    Unicode code points. `user_rooms`: rooms of a user. Another user can add them only as long as
    they are in fewer than `put_rooms`, a user who shares no room with them `stranger_rooms`.
    """

    frame_bytes: int = 64 * 1024
    text_points: int = 4_000
    text_bytes: int = 16 * 1024
    metadata_bytes: int = 4 * 1024
    metadata_depth: int = 8
    metadata_keys: int = 64
    room_name: int = 200
    group_members: int = 1_000
    user_rooms: int = 1_000
    put_rooms: int = 900
    stranger_rooms: int = 500
    ids_per_call: int = 100
    mentions: int = 50
    attachments: int = 10
    attachment_bytes: int = 25 * 1024 * 1024
    file_name: int = 255
    emoji: int = 20
    emoji_points: int = 32
    reactions: int = 500
    reaction_users: int = 100
    receipt_members: int = 100
    typing_members: int = 100
    status_text: int = 140
    watched: int = 500
    answer_bytes: int = 256 * 1024
    cursor_rooms: int = 500
    replay_events: int = 300


LIMITS = SizeLimits()
