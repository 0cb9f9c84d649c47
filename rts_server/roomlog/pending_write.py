"""A write as a command gets it from the room log, and the parts of its ack."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NotRequired, TypedDict, TypeVar

from rts_server.roomlog.pending import Durability, PendingAppend
from rts_server.roomlog.request import AppendResult, Op
from rts_server.roomlog.template import with_timestamp
from rts_server.types.answers import OneMessageAnswer
from rts_server.types.objects import Member, PublicRoom, Room

AnyRoom = TypeVar("AnyRoom", PublicRoom, Room)


class MessagePosition(TypedDict):
    """A message's place in an ack."""

    seq: int
    epoch: int
    offset: int
    created_at: str
    duplicate: NotRequired[bool]


@dataclass(frozen=True)
class PendingWrite:
    """An append, and its durability once that is known.

    Attributes:
        result: what was appended; None if nothing had to be.
        durability: resolves to `queued`, `stored` or `failed`.
        request_id: of a message its message_id.
        pending: the append as it is tracked; None if nothing was appended.
    """

    result: AppendResult | None
    durability: asyncio.Future[Durability]
    request_id: str = ""
    pending: PendingAppend | None = None

    @property
    def latest(self) -> AppendResult | None:
        """The result of the last replay, if Redis lost the append; else `result`."""
        return self.result if self.pending is None else self.pending.result

    @property
    def appended(self) -> AppendResult:
        """The result of a request that is never a no-op, as that of a message."""
        assert self.result is not None
        return self.result

    def ack_position(self) -> MessagePosition:
        """A message's place in the ack.

        Read it when the ack is sent, not before: a replay gives the message another place.
        """
        latest = self.appended if self.pending is None else self.pending.result
        place: MessagePosition = {
            "seq": latest.seq,
            "epoch": latest.epoch,
            "offset": latest.offset,
            "created_at": latest.ts,
        }
        if self.appended.duplicate:
            place["duplicate"] = True
        return place

    def ack_room(self, room: AnyRoom) -> AnyRoom:
        """A room as it was read after the append, with the position the append has by now."""
        latest = self.latest
        if latest is None or latest.position <= (room["epoch"], room["offset"]):
            return room
        change = self.pending.request.room_change if self.pending else None
        room = room.copy()
        room["epoch"], room["offset"], room["seq"] = latest.epoch, latest.offset, latest.seq
        if change:
            room["version"] = change["version"] + 1
        return room

    def ack_message(self) -> OneMessageAnswer | None:
        """A changed message in the ack; a replay may have built it anew on another state."""
        if self.pending is None or self.pending.request.after is None:
            return None
        return {"message": with_timestamp(self.pending.request.after, self.pending.result.ts)}

    def ack_members(self, members: list[Member]) -> list[Member]:
        """Members as they were read after the append; a replay gives new members another time."""
        latest = self.latest
        if latest is None or latest is self.result:
            return members
        joined, at = latest.affected.get("join", ()), latest.ts
        return [{**one, "joined_at": at} if one["user_id"] in joined else one for one in members]

    def claim_status_event(self) -> bool:
        """True for the caller that must send `message.status`: the first one per append."""
        if self.pending is None or self.pending.status_claimed:
            return False
        self.pending.status_claimed = True
        return True

    def affected(self, op: Op) -> tuple[str, ...]:
        """The users to whom `op` was done."""
        return self.result.affected.get(op, ()) if self.result else ()
