"""The presence scripts: their common keys, and the presence of a user as they return it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, cast

from redis.asyncio import Redis

from rts_server import keys
from rts_server.persistence.scripts import IDENTITY, Script, ScriptCall
from rts_server.protocol.event import rfc3339
from rts_server.redis_client.pipeline import CommandPipe, channels_of
from rts_server.types import objects

State = Literal["online", "away", "offline"]

_HERE = Path(__file__).parent


def presence_script(name: str) -> Script:
    """Load a presence script with the part that all of them share."""
    return Script(IDENTITY, _HERE / "entry.lua", _HERE / name)


def groups_of(redis: Redis | CommandPipe) -> tuple[keys.PresenceKeys, ...]:
    """Return the groups of users: on a cluster several, in slots of their own."""
    return keys.PRESENCE_GROUPS if channels_of(redis).sharded else (keys.PRESENCE,)


def script_call(
    redis: Redis | CommandPipe, group: keys.PresenceKeys, *args: str | int
) -> ScriptCall:
    """Return keys and arguments of a call about users of a group."""
    channel = channels_of(redis).presence_prefix(group)
    return group.script_keys, [group.users, group.of_instance, channel, *args]


class PresenceState(NamedTuple):
    """The presence of a user as announced last.

    `last` is in ms since 1970, 0 for never; a higher `v` is newer (D8).
    """

    v: int
    state: State
    last: int
    text: str

    def shown(self, user_id: str) -> objects.Presence:
        """Return the presence as an object of the protocol."""
        return {
            "user_id": user_id,
            "state": self.state,
            "last_active_at": rfc3339(self.last / 1000) if self.last else None,
            "status_text": self.text or None,
        }

    def differs_from(self, other: PresenceState) -> bool:
        """Return whether a client that knows `other` would see a difference."""
        return (self.state, self.text) != (other.state, other.text)


UNKNOWN = PresenceState(0, "offline", 0, "")
"""What is shown of a user of whom nothing is known. Whatever is read later is newer."""


def parse_presence(state: bytes, last: int, text: bytes, v: int) -> PresenceState:
    """Build a presence from the fields that the scripts return."""
    return PresenceState(v, cast(State, state.decode()), last, text.decode())
