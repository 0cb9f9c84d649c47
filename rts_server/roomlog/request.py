"""What is asked of append.lua, as data: one request, one or more events, all or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import orjson

from rts_server import keys
from rts_server.config import Settings, ms
from rts_server.persistence.scripts import Call
from rts_server.roomlog.template import Segments, Slot, hole, pieces

RECORD_VERSION = 1
T = TypeVar("T")

Op = Literal["join", "go", "role"]
"""What is done to a member."""


@dataclass(frozen=True)
class EventTemplate:
    """One durable event: the client's event, its record, and what it does to the room's state.

    `op`: of the users named, the event is about those to whom this is done; left out for nobody.
    """

    type: str
    data: dict[str, Any]
    queue: Literal["m", "r"]
    actor_id: str | None = None
    takes_seq: bool = False
    counts: bool = True
    sender: str | None = None
    last: Segments | None = None
    room: Segments | None = None
    frozen: bool = False
    op: Op | None = None
    changes: dict[str, Any] | None = None
    fails: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    version: int = RECORD_VERSION

    def as_request(self, room_id: str) -> dict[str, Any]:
        """The event as append.lua reads it."""
        text: dict[str, Any] = {"type": self.type, "ts": hole(Slot.TS), "room_id": room_id}
        if self.actor_id is not None:
            text["actor_id"] = self.actor_id
        text |= {"epoch": hole(Slot.EPOCH), "offset": hole(Slot.OFFSET), "data": self.data}
        request: dict[str, Any] = {
            "type": self.type,
            "pieces": pieces(text),
            "queue": self.queue,
            "v": self.version,
        }
        if self.extra:
            request["extra"] = orjson.dumps(self.extra).decode()[1:-1] + ","
        if not self.counts:
            request["counts"] = False
        for name in ("takes_seq", "sender", "last", "room", "frozen", "op", "changes", "fails"):
            if value := getattr(self, name):
                request[name] = value
        return request


@dataclass(frozen=True)
class NewMember:
    """A user who is to be a member; the script leaves out those who are one."""

    user_id: str
    role: str
    name: str | None = None

    def as_request(self) -> dict[str, Any]:
        """The member as clients see it and as the member hash keeps it."""
        stored = {"user_id": self.user_id, "role": self.role, "joined_at": hole(Slot.TS)}
        if self.name:
            stored["name"] = self.name
        seen = stored | {"read_seq": hole(Slot.SEQ), "delivered_seq": hole(Slot.SEQ)}
        return {
            "op": "join",
            "user_id": self.user_id,
            "role": self.role,
            "pieces": pieces(seen),
            "stored": pieces(stored),
        }


@dataclass(frozen=True)
class MembershipChange:
    """What is to become of members: who comes, who goes, who has another role."""

    joining: tuple[NewMember, ...] = ()
    going: tuple[str, ...] = ()
    giving: tuple[tuple[str, str], ...] = ()

    def slices(self, most: int) -> Iterator[MembershipChange]:
        """The same in parts of at most so many users, those who go first."""
        for going in _slices(self.going, most):
            yield MembershipChange(going=going)
        for joining in _slices(self.joining, most):
            yield MembershipChange(joining)
        for giving in _slices(self.giving, most):
            yield MembershipChange(giving=giving)

    def __len__(self) -> int:
        return len(self.joining) + len(self.going) + len(self.giving)


def _slices(items: tuple[T, ...], most: int) -> Iterator[tuple[T, ...]]:
    for i in range(0, len(items), most):
        yield items[i : i + most]


@dataclass(frozen=True)
class AppendRequest:
    """One call of the script. `roles` None: the system acts, nobody's membership is asked.

    `giving`: (user, role) of members whose role is to change. `change`, `room_change`: the state
    of the message or the room this was built on. `settings`: the actor's own, `muted`, `hidden`.
    `everybody`: all members go, whoever they are by then. `expiry`: a record of its own.
    `again`: (epoch, offset) where it was lost; what was answered since about the same wins.
    `wishes`: what of a message the append is about, where a newer one outranks a lost older one.
    `after`: a changed message as clients will see it, its time a hole.
    `remake`: what to ask instead when this was lost and the room has moved on (None: nothing).
    """

    room_id: str
    request_id: str
    events: tuple[EventTemplate, ...]
    hash: str = ""
    actor: str = ""
    roles: frozenset[str] | None = None
    joining: tuple[NewMember, ...] = ()
    going: tuple[str, ...] = ()
    giving: tuple[tuple[str, str], ...] = ()
    everybody: bool = False
    expiry: str = ""
    change: dict[str, Any] | None = None
    room_change: dict[str, Any] | None = None
    settings: dict[str, bool] | None = None
    when_frozen: bool = False
    again: tuple[int, int] | None = None
    wishes: tuple[str, ...] = ()
    absent: bool = False
    group_only: bool = False
    ask_archive: bool = False
    remake: Callable[[], Awaitable[AppendRequest | None]] | None = None
    fails: str | None = None
    after: dict[str, Any] = field(default_factory=dict)

    def call(
        self,
        settings: Settings,
        origin: str,
        nonce: str,
        deadline_ms: int,
        asked: bool,
        since: int = 0,
    ) -> Call:
        """Keys and arguments. `deadline_ms` is in Redis' own time; `asked`: the archive was.

        `since`: nothing is appended in a later epoch than this (0: in any).
        """
        names = keys.room(self.room_id)
        request: dict[str, Any] = {
            "room_id": self.room_id,
            "channel": keys.room_channel(self.room_id),
            "request_id": self.request_id,
            "hash": self.hash,
            "actor": self.actor,
            "origin": origin,
            "nonce": nonce,
            "deadline": deadline_ms,
            "claim_ttl": ms(settings.claim_ttl),
            "outbox_cap": settings.outbox_cap,
            "member_limit": settings.limits.group_members,
            "log_floor": ms(settings.hot_log_floor),
            "log_events": settings.hot_log_events,
            "log_ttl": ms(settings.hot_log_ttl),
            "head_ttl": ms(settings.head_ttl),
            "idem_ttl": ms(settings.idempotency_ttl),
            "absent": self.absent,
            "group_only": self.group_only,
            "ask_archive": not asked,
            "events": [event.as_request(self.room_id) for event in self.events],
        }
        if since:
            request["since"] = since
        if self.roles is not None:
            request["roles"] = dict.fromkeys(self.roles, True)
        if members := self._members():
            request["members"] = members
        for name in (
            "everybody",
            "expiry",
            "change",
            "room_change",
            "settings",
            "when_frozen",
            "again",
            "wishes",
        ):
            if value := getattr(self, name):
                request[name] = value
        failed = [names.idem(self.fails)] if self.fails else []
        return [*names[:9], names.idem(self.request_id), *failed], [orjson.dumps(request).decode()]

    def _members(self) -> list[dict[str, Any]]:
        """Everybody named, with what is to be done to him."""
        return [
            *(joining.as_request() for joining in self.joining),
            *({"op": "role", "user_id": user, "role": role} for user, role in self.giving),
            *({"op": "go", "user_id": user} for user in self.going),
        ]


@dataclass(frozen=True)
class AppendResult:
    """What the log answered, at the call's last event; `entries` wait in the outbox.

    `picked`: of the users named, those to whom something was done, by what it was. `read_on`: the
    sender had something unread, which his own message reads; `unhid`: members to whom it brought
    the hidden room back. `rev` ranks settings that changed. `typed`: the message ended its sender's
    typing, and the room is to be told.
    """

    epoch: int
    offset: int
    seq: int
    ts: str
    entries: frozenset[str]
    picked: dict[Op, tuple[str, ...]]
    status: Literal["pending", "queued", "failed"]
    duplicate: bool = False
    read_on: bool = False
    rev: int = 0
    unhid: tuple[str, ...] = ()
    typed: bool = False

    def written(self, request: AppendRequest) -> list[tuple[int, EventTemplate]]:
        """The events of the request that were written, each with its offset."""
        events = [event for event in request.events if event.op is None or event.op in self.picked]
        return list(enumerate(events, start=self.offset - len(events) + 1))


@dataclass(frozen=True)
class NoOp:
    """All was as it was asked for, in this epoch."""

    epoch: int
