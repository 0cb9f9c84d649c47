"""`/presence`: presence of users, and typing."""

from __future__ import annotations

from collections.abc import Mapping

from rts_server import errors, metrics
from rts_server.namespaces.answer import Answer, command
from rts_server.namespaces.base import Namespace, NamespaceContext
from rts_server.namespaces.session import Session
from rts_server.presence.presences import UserPresences
from rts_server.presence.scripts import PresenceState
from rts_server.presence.watches import PresenceWatches, SessionWatch
from rts_server.protocol import commands
from rts_server.rooms.typing import TypingPublisher
from rts_server.runtime.load_shedding import LoadShedding
from rts_server.types.commands import (
    PresenceQueryPayload,
    PresenceSetPayload,
    PresenceWatchPayload,
    RoomGetPayload,
)
from rts_server.types.objects import Presence, PresenceOrError


class PresenceNamespace(Namespace):
    """Nothing here is stored, and it is dropped first under load (E5)."""

    def __init__(
        self,
        context: NamespaceContext,
        *,
        typing: TypingPublisher,
        presences: UserPresences,
        watches: PresenceWatches,
        load_shedding: LoadShedding,
    ) -> None:
        super().__init__("/presence", context)
        self._typing = typing
        self._presences = presences
        self._watches = watches
        self._load_shedding = load_shedding
        self._watching: dict[Session, SessionWatch] = {}

    def closed(self, session: Session) -> None:
        """End the watch of the session."""
        if watch := self._watching.pop(session, None):
            self._watches.end(watch)

    async def rate_limited(
        self, rate: str, session: Session, refusal: errors.RateLimited
    ) -> Answer | errors.Refusal:
        """Answer typing and presence updates above their rate with ok, and drop them."""
        if rate == "typing":
            return {}
        if rate != "presence":
            return refusal
        found = await self._presences.read([session.user_id])
        return {"presence": found[session.user_id].shown(session.user_id)}

    @command("presence.set", commands.PresenceSetSchema)
    async def presence_set(self, session: Session, payload: PresenceSetPayload) -> Answer:
        """Set online or away and a status text, for all devices of the user."""
        text = (payload["status_text"] or "") if "status_text" in payload else None
        presence = await self._presences.set_state(session.user_id, payload["state"], text)
        return {"presence": presence.shown(session.user_id)}

    @command("presence.query", commands.PresenceQuerySchema)
    async def presence_query(self, session: Session, payload: PresenceQueryPayload) -> Answer:
        """Return the presence of some users."""
        requested = list(dict.fromkeys(payload["user_ids"]))
        visible = await self._user_memberships.share_room(session.user_id, requested)
        return {"presences": shown(requested, await self._presences.read(visible))}

    @command("presence.watch", commands.PresenceWatchSchema)
    async def presence_watch(self, session: Session, payload: PresenceWatchPayload) -> Answer:
        """Return the presence of some users and send every change until the session ends."""
        requested = list(dict.fromkeys(payload["user_ids"]))
        if session.closed:  # a command may be executed after its session ended
            return {"presences": shown(requested, {})}
        watch = self._watching.get(session)
        if watch is None:
            watch = self._watching[session] = SessionWatch(
                session.user_id, session.out.write_droppable
            )
        return {"presences": shown(requested, await self._watches.watch(watch, requested))}

    @command("typing.start", commands.RoomGetSchema)
    async def typing_start(self, session: Session, payload: RoomGetPayload) -> Answer:
        """Report that the user types; the client repeats it within 8 s while they do (E4)."""
        return await self._set_typing(session, payload["room_id"], on=True)

    @command("typing.stop", commands.RoomGetSchema)
    async def typing_stop(self, session: Session, payload: RoomGetPayload) -> Answer:
        """Report that the user stopped typing."""
        return await self._set_typing(session, payload["room_id"], on=False)

    async def _set_typing(self, session: Session, room_id: str, *, on: bool) -> Answer:
        if self._load_shedding.high:
            metrics.SHED.labels("typing").inc()
            return {}
        await self._require_member(session, room_id)
        self._typing.set_typing(room_id, session.user_id, on=on)
        return {}


def shown(
    requested: list[str], found: Mapping[str, PresenceState]
) -> list[Presence | PresenceOrError]:
    """Return one entry per requested user; hidden and unknown users look alike (A4)."""
    return [
        found[user_id].shown(user_id)
        if user_id in found
        else {"user_id": user_id, "error": "not_found"}
        for user_id in requested
    ]
