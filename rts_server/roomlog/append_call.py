"""The keys and arguments of append.lua for a request."""

from __future__ import annotations

from functools import cache
from typing import NotRequired, TypedDict

import orjson

from rts_server import keys, rates
from rts_server.channels import ONE_SERVER, Channels
from rts_server.config import Settings, ms
from rts_server.domain.roles import Role
from rts_server.persistence.scripts import ScriptCall
from rts_server.roomlog.request import AppendRequest, EventTemplate, NewMember, Op
from rts_server.roomlog.template import Slot, TextTemplate, placeholder, text_template

_FIELDS = (
    "remove_everybody",
    "expiry",
    "change",
    "room_change",
    "settings",
    "allow_frozen",
    "replay_of",
    "intents",
    "must_not_exist",
    "group_only",
)
"""Fields of a request that are sent only where they are set."""
_EVENT_FIELDS = (
    "allocates_seq",
    "sender",
    "last",
    "room",
    "frozen",
    "op",
    "changes",
    "fails",
)

_MESSAGE_MIDDLE = (
    '"ts":"\x014","epoch":\x011,"offset":\x012,"data":{"message":{'
    '"seq":\x013,"epoch":\x011,"created_at":"\x014",'
)
_LAST_BEGIN = '{"seq":\x013,"created_at":"\x014",'
"""The parts of a plain message and of its preview that append/write.lua writes itself. It joins
three pieces; to fill a template or a format of so many marks takes Lua four times as long."""


def append_call(
    request: AppendRequest,
    instance: str,
    *,
    nonce: str,
    deadline_ms: int,
    archive_checked: bool,
    max_epoch: int = 0,
    channels: Channels = ONE_SERVER,
) -> ScriptCall:
    """Keys and arguments of append.lua.

    Args:
        instance: its `instance_text`.
        nonce: names the command; with it a command recognises its own lost answer.
        deadline_ms: Redis' clock; the script appends nothing after it.
        archive_checked: the archive was asked for the id and does not have it.
        max_epoch: the script appends nothing in a later epoch; 0 for any epoch.
        channels: of the server that is called.
    """
    room = keys.room(request.room_id)
    args: list[str | int] = [
        request.room_id,
        channels.room(request.room_id),
        request.request_id,
        request.hash,
        request.actor,
        "" if request.roles is None else _words(request.roles),
        nonce,
        deadline_ms,
        max_epoch,
        _archive_check(request) if not archive_checked else "",
        instance,
    ]
    fields = _fields_of_others(request)
    if fields is None:
        args += _message(request.events[0], request.room_id)
    else:
        args.append(orjson.dumps(fields).decode())
    failed = [room.idem(request.fails)] if request.fails else []
    return [room.head, room.outbox, room.idem(request.request_id), *failed], args


def instance_text(settings: Settings, origin: str) -> str:
    """What append.lua needs of an instance, as JSON; times in ms.

    `origin`: the id of the instance, which the relay notifies once an append is queued.
    """
    room = rates.parse(settings.rates)["room"]
    interval = 1000 / room.per_second
    return orjson.dumps(
        {
            "origin": origin,
            "room_rate": [interval, interval * room.burst] if settings.limited else None,
            "outbox_cap": settings.outbox_cap,
            "members": settings.limits.group_members,
            "claim_ttl": ms(settings.claim_ttl),
            "idem_ttl": ms(settings.idempotency_ttl),
            "room_ttl": ms(settings.room_ttl),
            "log_floor": ms(settings.hot_log_floor),
            "log_age": ms(settings.hot_log_age),
            "log_events": settings.hot_log_events,
            "log_bytes": settings.hot_log_bytes,
        }
    ).decode()


def _archive_check(request: AppendRequest) -> str | int:
    """Whether the archive may have to be asked for the id; where it says so, since when it is."""
    if not request.check_archive:
        return ""
    return "unknown" if request.sent_at is None else ms(request.sent_at)


@cache
def _words(roles: frozenset[Role]) -> str:
    """Roles with a space around each."""
    return f" {' '.join(sorted(roles))} "


def _message(event: EventTemplate, room_id: str) -> list[str | int]:
    """The event of a plain message."""
    begin, end = _around(_text(event, room_id), _MESSAGE_MIDDLE)
    _, last_end = _around(event.last or "", _LAST_BEGIN)
    return [begin, end, last_end, _record(event)]


def _around(template: TextTemplate, middle: str) -> tuple[str, str]:
    """What is before and behind the only marks of a template.

    Raises:
        ValueError: the marks are others, or in another order.
    """
    begin, found, end = template.partition(middle)
    if not found or "\x01" in begin + end:
        raise ValueError(f"the marks of {template!r} are not those of {middle!r}")
    return begin, end


def _fields_of_others(request: AppendRequest) -> dict[str, object] | None:
    """What a request has beside the arguments that all have; None for a plain message."""
    fields: dict[str, object] = {
        name: value for name in _FIELDS if (value := getattr(request, name))
    }
    if members := _members(request):
        fields["members"] = members
    if not fields and _is_message(request):
        return None
    return fields | {"events": [_event(event, request.room_id) for event in request.events]}


def _is_message(request: AppendRequest) -> bool:
    """Whether its only event is a message that its actor sends."""
    if len(request.events) != 1:
        return False
    event = request.events[0]
    others = event.room or event.op or event.changes or event.fails
    return (
        (event.type, event.queue, event.sender) == ("message.new", "m", request.actor)
        and event.allocates_seq
        and event.counts
        and event.last is not None
        and not others
    )


def _event(event: EventTemplate, room_id: str) -> dict[str, object]:
    """An event as append.lua reads it."""
    body: dict[str, object] = {
        "type": event.type,
        "text": _text(event, room_id),
        "queue": event.queue,
        "record": _record(event),
    }
    if not event.counts:
        body["counts"] = False
    for name in _EVENT_FIELDS:
        if value := getattr(event, name):
            body[name] = value
    return body


def _text(event: EventTemplate, room_id: str) -> TextTemplate:
    """The event on the wire."""
    body: dict[str, object] = {"type": event.type, "room_id": room_id}
    if event.actor_id is not None:
        body["actor_id"] = event.actor_id
    body |= {
        "ts": placeholder(Slot.TS),
        "epoch": placeholder(Slot.EPOCH),
        "offset": placeholder(Slot.OFFSET),
        "data": event.data,
    }
    return text_template(body)


def _record(event: EventTemplate) -> str:
    """The begin of the event's record, to which the event itself and a brace are added."""
    extra = orjson.dumps(event.extra).decode()[1:-1] + "," if event.extra else ""
    return f'{{"v":{event.version},{extra}"event":'


class MemberOperation(TypedDict):
    """The changes of an append to a member, as append.lua reads them. `name` is JSON."""

    op: Op
    user_id: str
    role: NotRequired[Role]
    name: NotRequired[str]
    text: NotRequired[TextTemplate]
    stored: NotRequired[TextTemplate]


def _members(request: AppendRequest) -> list[MemberOperation]:
    """Every user the request names, with what is to be done to them."""
    operations = [_new_member(member) for member in request.new_members]
    operations += [{"op": "role", "user_id": u, "role": role} for u, role in request.role_changes]
    operations += [
        {"op": "name", "user_id": u, "name": orjson.dumps(name).decode()}
        for u, name in request.new_names
    ]
    operations += [{"op": "go", "user_id": user_id} for user_id in request.removals]
    return operations


def _new_member(member: NewMember) -> MemberOperation:
    """A member twice: as clients see them, and as the members hash keeps them."""
    stored = {"user_id": member.user_id, "role": member.role, "joined_at": placeholder(Slot.TS)}
    if member.name:
        stored["name"] = member.name
    seq = placeholder(Slot.SEQ)
    return {
        "op": "join",
        "user_id": member.user_id,
        "role": member.role,
        "text": text_template(stored | {"read_seq": seq, "delivered_seq": seq}),
        "stored": text_template(stored),
    }
