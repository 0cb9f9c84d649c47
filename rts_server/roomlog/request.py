"""The request of a command to a room's log, as plain data.

One `AppendRequest` describes one atomic append: its events are written all together or not at
all. Nothing here knows Redis, the settings or the instance: `script.append_call` serialises it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict, TypeVar, cast

from rts_server.domain.roles import Role
from rts_server.domain.room import RoomSettings
from rts_server.roomlog.template import TextTemplate
from rts_server.types import events
from rts_server.types.objects import Message

RECORD_VERSION = 1
"""`v` of the records that this release writes."""

T = TypeVar("T")

Op = Literal["join", "go", "role", "name"]
"""An operation on a member, as append.lua names it: `join` for an addition, `go` for a removal,
`role` and `name` for a change of the role or the display name."""


DurableData = (
    events.RoomChangedData
    | events.MembersChangedData
    | events.MessageNewData
    | events.MessageUpdatedData
    | events.MessageFailedData
)
"""The data of the events of a log."""


class FailedMessage(TypedDict):
    """A message that can never be stored."""

    message_id: str
    seq: int


class MessageRevision(TypedDict):
    """A message's new version; `uncounted`: its seq, if it no longer counts as unread."""

    message_id: str
    version: int
    text: TextTemplate
    last: TextTemplate
    uncounted: NotRequired[int]


class MessageVersion(TypedDict):
    """The version of a message that a request was built on, in an epoch (0: the archive's)."""

    message_id: str
    version: int
    epoch: int


class RoomVersion(TypedDict):
    """The version of a room that a request was built on, in an epoch (0: the archive's)."""

    version: int
    epoch: int


class RecordFields(TypedDict, total=False):
    """Fields of a record beside its event.

    `message`: the whole message, where the event shows only some users of its reactions. `erases`:
    ids of the attachments that go with it. `hash`: of the body, to recognise a conflict.
    `traceparent`: W3C Trace Context.
    """

    traceparent: str
    message: Message
    erases: list[str]
    hash: str


@dataclass(frozen=True)
class EventTemplate:
    """One durable event before the script gives it a position.

    Attributes:
        type: name of the event on the wire, `message.new` for example.
        data: its `data`, with placeholders (`template.placeholder`) for what only the script knows.
        queue: `m`, the message queue, or `r`, the room queue.
        actor_id: the user who caused it; None for the system.
        allocates_seq: the event is a message and takes the room's next seq.
        counts: the message counts as unread for members.
        sender: a message's sender, whose read cursor moves to it.
        last: the room's `last_message`, if the event becomes it.
        room: the room's own fields as the head keeps them, if the event changes them.
        frozen: whether the room is frozen after `room` was written.
        op: the event names the members to whom this was done; without any it is not written.
        changes: a message's new version.
        fails: a message that can never be stored.
        extra: fields of the record beside the event.
        version: `v` of the record.
    """

    type: str
    data: DurableData
    queue: Literal["m", "r"]
    actor_id: str | None = None
    allocates_seq: bool = False
    counts: bool = True
    sender: str | None = None
    last: TextTemplate | None = None
    room: TextTemplate | None = None
    frozen: bool = False
    op: Op | None = None
    changes: MessageRevision | None = None
    fails: FailedMessage | None = None
    extra: RecordFields = field(default_factory=RecordFields)
    version: int = RECORD_VERSION

    @property
    def message(self) -> Message:
        """The message of an event that allocates a seq."""
        return cast(events.MessageNewData, self.data)["message"]


@dataclass(frozen=True)
class NewMember:
    """A user to add. The script leaves out users who are members already."""

    user_id: str
    role: Role
    name: str | None = None


@dataclass(frozen=True)
class MembershipChange:
    """Members to add, members to remove, and (user, role) of members whose role changes."""

    new_members: tuple[NewMember, ...] = ()
    removals: tuple[str, ...] = ()
    role_changes: tuple[tuple[str, Role], ...] = ()

    def slices(self, size: int) -> Iterator[MembershipChange]:
        """The change in parts of at most `size` users each, removals first.

        Removals come first, so that a full room has places again for the new members.
        """
        for removals in _slices(self.removals, size):
            yield MembershipChange(removals=removals)
        for new_members in _slices(self.new_members, size):
            yield MembershipChange(new_members)
        for role_changes in _slices(self.role_changes, size):
            yield MembershipChange(role_changes=role_changes)

    def __len__(self) -> int:
        return len(self.new_members) + len(self.removals) + len(self.role_changes)


def _slices(items: tuple[T, ...], size: int) -> Iterator[tuple[T, ...]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]


Rebuild = Callable[[Collection[str]], Awaitable["AppendRequest | None"]]


@dataclass(frozen=True)
class AppendRequest:
    """One atomic append to the log of one room. Repeating it under the same id is harmless (D7).

    Attributes:
        room_id: the room.
        request_id: the idempotency key; of a message its message_id.
        events: the events to write, in order; empty for settings, intents and `empty_append`.
        hash: hash of the body; another body under the same id is a `conflict`.
        actor: the user who acts.
        roles: roles that may do it; None if the system acts and membership is not checked.
        new_members, removals, role_changes: as in MembershipChange.
        new_names: (user, display name) of members who are renamed; others are left out.
        remove_everybody: remove all who are members when the script runs.
        expiry: a record that makes the archive forget the room's items later.
        change: the message that the request was built on.
        room_change: the room that the request was built on.
        settings: the actor's own `muted` and `hidden`.
        allow_frozen: a frozen room does not refuse it.
        replay_of: the position at which this append, which Redis lost, was first. A replay must not
            overwrite what was acknowledged later about the same target (D8).
        intents: the fields of a message, a room or a member's settings that the request decides.
            A later acknowledged intent supersedes an equal one of an older, lost request (D8).
        must_not_exist: the request creates the room.
        group_only: a direct room refuses it.
        check_archive: ask the archive for the id where Redis may have forgotten it (D7).
        sent_at: Unix time of the first try, by the client's clock; None if unknown. Beside
            `check_archive`: Redis remembers no id for ever.
        rebuild: builds the request anew on the present state, after it was lost and the room
            changed. Its argument is the intents that are left; None if nothing is left to do.
        fails: id of the message that the request reports as failed.
        after: a changed message as clients will see it; its time is a placeholder.
    """

    room_id: str
    request_id: str
    events: tuple[EventTemplate, ...]
    hash: str = ""
    actor: str = ""
    roles: frozenset[str] | None = None
    new_members: tuple[NewMember, ...] = ()
    removals: tuple[str, ...] = ()
    role_changes: tuple[tuple[str, Role], ...] = ()
    new_names: tuple[tuple[str, str], ...] = ()
    remove_everybody: bool = False
    expiry: str = ""
    change: MessageVersion | None = None
    room_change: RoomVersion | None = None
    settings: RoomSettings | None = None
    allow_frozen: bool = False
    replay_of: tuple[int, int] | None = None
    intents: tuple[str, ...] = ()
    must_not_exist: bool = False
    group_only: bool = False
    check_archive: bool = False
    sent_at: float | None = None
    rebuild: Rebuild | None = None
    fails: str | None = None
    after: Message | None = None

    @property
    def moves_members(self) -> bool:
        """True if it may add or remove members, so that their user indexes change."""
        return bool(self.new_members or self.removals or self.remove_everybody)


@dataclass(frozen=True)
class AppendResult:
    """The result of an append, at its last event.

    Attributes:
        epoch, offset: position of the last event.
        seq: the room's seq after it; of a message its own.
        ts: RFC 3339 time of the append, on Redis' clock.
        entries: ids of its outbox entries; it is queued once none of them is left there.
        affected: per op, the named users to whom it was done.
        status: `queued` and `failed` are known for repeated requests only.
        duplicate: the request had been appended before, by another command.
        settings_rev: number that orders changes of a member's settings at one offset; 0 for none.
        typing_ended: the message ended its sender's typing, so the list must be published.
    """

    epoch: int
    offset: int
    seq: int
    ts: str
    entries: frozenset[str]
    affected: dict[Op, tuple[str, ...]]
    status: Literal["pending", "queued", "failed"]
    duplicate: bool = False
    settings_rev: int = 0
    typing_ended: bool = False

    @property
    def position(self) -> tuple[int, int]:
        """(epoch, offset) of the last event."""
        return self.epoch, self.offset

    def written(self, request: AppendRequest) -> list[tuple[int, EventTemplate]]:
        """The events of `request` that were written, each with its offset."""
        events = [e for e in request.events if e.op is None or e.op in self.affected]
        return list(enumerate(events, start=self.offset - len(events) + 1))


@dataclass(frozen=True)
class NoOp:
    """Nothing was appended: in this epoch everything was already as requested."""

    epoch: int
