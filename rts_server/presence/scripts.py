"""The scripts of presence: what they all are given, and the entry of a user as they answer it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rts_server import keys
from rts_server.persistence.scripts import IDENTITY, Call, Script
from rts_server.protocol.event import rfc3339

_HERE = Path(__file__).parent
_PREFIXES = [keys.PRESENCE_USERS, keys.PRESENCE_OF, keys.PRESENCE_CHANNELS]


def presence_script(name: str) -> Script:
    """A script of presence, behind its prelude."""
    return Script(IDENTITY, _HERE / "entry.lua", _HERE / name)


def call(*args: str | int) -> Call:
    """One run: every script has the same keys, and its own arguments behind the prefixes."""
    return keys.PRESENCE, [*_PREFIXES, *args]


class Presence(NamedTuple):
    """How a user was told last. `last`: ms since 1970, 0 for never; a higher `v` is newer."""

    v: int
    state: str
    last: int
    text: str

    def shown(self, user_id: str) -> dict[str, Any]:
        """As the protocol shows it."""
        return {
            "user_id": user_id,
            "state": self.state,
            "last_active_at": rfc3339(self.last / 1000) if self.last else None,
            "status_text": self.text or None,
        }

    def tells(self, other: Presence) -> bool:
        """Whether somebody who knows `other` learns anything."""
        return (self.state, self.text) != (other.state, other.text)


def presence(state: bytes, last: int, text: bytes, v: int) -> Presence:
    """An entry as the scripts answer it."""
    return Presence(v, state.decode(), last, text.decode())
