"""`/presence`: who is here, and who is typing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rts_server import errors, metrics
from rts_server.config import Settings
from rts_server.engine.server import Server
from rts_server.namespaces.answer import Answer, command
from rts_server.namespaces.base import Namespace
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.session import Session
from rts_server.presence.presences import PresenceStore
from rts_server.presence.scripts import Presence
from rts_server.presence.watches import PresenceWatch, PresenceWatches
from rts_server.protocol import commands
from rts_server.rooms.typing import TypingPublisher
from rts_server.views.inbox import InboxReader


class PresenceNamespace(Namespace):
    """Nothing here is stored, and it is dropped first when there is too much to do."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        connections: Connections,
        inboxes: InboxReader,
        typing: TypingPublisher,
        parts: tuple[PresenceStore, PresenceWatches],
    ) -> None:
        super().__init__("/presence", settings, server, connections, inboxes)
        self._typing = typing
        self._presences, self._watches = parts
        self._watching: dict[Session, PresenceWatch] = {}

    def closed(self, session: Session) -> None:
        """A watch ends with its socket."""
        if watch := self._watching.pop(session, None):
            self._watches.end(watch)

    async def too_fast(
        self, rate: str, session: Session, refusal: errors.RateLimited
    ) -> Answer | errors.Refusal:
        """Typing and one's own presence are dropped with ok; all commands together are not."""
        if rate == "typing":
            return {}
        if rate != "presence":
            return refusal
        found = await self._presences.read([session.user_id])
        return {"presence": found[session.user_id].shown(session.user_id)}

    @command("presence.set", commands.PresenceSet)
    async def presence_set(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Online or away, and a status text, for all devices of the user."""
        text = (asked["status_text"] or "") if "status_text" in asked else None
        presence = await self._presences.set(session.user_id, asked["state"], text)
        return {"presence": presence.shown(session.user_id)}

    @command("presence.query", commands.PresenceQuery)
    async def presence_query(self, session: Session, asked: dict[str, Any]) -> Answer:
        """How some users are, once."""
        wanted = list(dict.fromkeys(asked["user_ids"]))
        met = await self._inboxes.share_room(session.user_id, wanted)
        return {"presences": shown(wanted, await self._presences.read(met))}

    @command("presence.watch", commands.PresenceWatch)
    async def presence_watch(self, session: Session, asked: dict[str, Any]) -> Answer:
        """How some users are, and from now on every change, until the socket ends."""
        wanted = list(dict.fromkeys(asked["user_ids"]))
        if session.closed:  # what was asked just before the end may come behind it
            return {"presences": shown(wanted, {})}
        watch = self._watching.get(session)
        if watch is None:
            watch = self._watching[session] = PresenceWatch(session.user_id, session.out.spare)
        return {"presences": shown(wanted, await self._watches.watch(watch, wanted))}

    @command("typing.start", commands.RoomGet)
    async def typing_start(self, session: Session, asked: dict[str, Any]) -> Answer:
        """The user types; to be said again within 8 s while he does."""
        return await self._set(session, asked["room_id"], on=True)

    @command("typing.stop", commands.RoomGet)
    async def typing_stop(self, session: Session, asked: dict[str, Any]) -> Answer:
        """The user types no more."""
        return await self._set(session, asked["room_id"], on=False)

    async def _set(self, session: Session, room_id: str, *, on: bool) -> Answer:
        if self._server.pressure.high:
            metrics.SHED.labels("typing").inc()
            return {}
        await self._must_be_in(session, room_id)
        self._typing.set_typing(room_id, session.user_id, on=on)
        return {}


def shown(wanted: list[str], found: Mapping[str, Presence]) -> list[dict[str, Any]]:
    """One for each asked for; whom one may not see is like who is not there."""
    return [
        found[user_id].shown(user_id)
        if user_id in found
        else {"user_id": user_id, "error": "not_found"}
        for user_id in wanted
    ]
