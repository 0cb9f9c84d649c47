"""Examples for the OpenAPI document: one value for each name of a field, put together by schema."""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import quote

from marshmallow import Schema, fields
from marshmallow.validate import OneOf

from rts_server import keys
from rts_server.rest.routes import Route

NOW = "2026-11-29T08:30:00.000Z"
OPERATOR = "shop-back-end"
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
ROOM_ID = keys.external_room_id("order-17")
MESSAGE_ID = keys.message_id(ROOM_ID, OPERATOR, KEY)
"""The ids that the examples make, so that one example goes on where another ended."""

VALUES: dict[str, Any] = {
    "room_id": ROOM_ID,
    "message_id": MESSAGE_ID,
    "client_msg_id": KEY,
    "Idempotency-Key": f'"{KEY}"',
    "attachment_id": "f7Q2mX9s",
    "instance_id": "5f0c2a9be41d7736",
    "external_id": "order-17",
    "user_id": "alice",
    "other_id": "bob",
    "emoji": "👍",
    "sender_id": OPERATOR,
    "created_by": OPERATOR,
    "deleted_by": OPERATOR,
    "on_behalf_of": "alice",
    "user_ids": ["alice", "bob"],
    "mentions": ["bob"],
    "name": "Order 17",
    "text": "Your parcel has left the warehouse.",
    "preview": "Your parcel has left the warehouse.",
    "status_text": "back at ten",
    "metadata": {"order": 17},
    "reactions": {},
    "type": "group",
    "state": "in",
    "role": "owner",
    "content_type": "image/png",
    "checksum_sha256": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
    "added": ["carol"],
    "removed": ["bob"],
    "updated": ["alice"],
    "cursor": "WyJhbGljZSJd",
    "next_cursor": None,
    "after": "1:42",
    "code": "not_found",
    "message": "It does not exist, or you have no access to it.",
    "reason": "invalid_record",
    "kind": "message.new",
    "sqs_message_id": "c5b9a6f0-58fd-4bbf-8f7e-2a2f3a6f2f8e",
    "seq": 12,
    "read_seq": 11,
    "delivered_seq": 12,
    "epoch": 1,
    "offset": 42,
    "version": 1,
    "unread": 1,
    "uncounted": 0,
    "total": 1,
    "rooms": 1,
    "member_count": 2,
    "count": 1,
    "size": 48_213,
    "width": 640,
    "height": 480,
    "limit": 50,
    "before_seq": 12,
    "after_seq": 0,
    "around_seq": 12,
    "peek": 10,
    "connections": 1,
    "instances": 2,
    "lines": 3,
    "messages": 12,
    "receives": 3,
    "sent_ms": 1_795_941_000_000,
    "waiting": 0,
    "in_flight": 0,
    "delayed": 0,
    "replayed": 3,
    "left": 0,
    "gaps": [],
    "duplicates": [],
    "orphans": [],
    "changed": [],
    "repaired": [],
    "retry_after_ms": 1_000,
    "details": {},
    "events": [],
}
"""Values by name, for all schemas. Times, booleans and words of a list need none."""

TRUE = frozenset({"alive", "counts", "created", "recovered", "warm", "whole"})
"""Booleans that are true in the examples."""

OF_SCHEMAS: dict[str, dict[str, Any]] = {
    "LastMessageSchema": {"type": "text"},
    "MessageSchema": {"type": "text"},
    "MemberSchema": {"name": "Alice"},
    "MembershipSchema": {"name": "Alice"},
    "NamedUserSchema": {"name": "Alice"},
    "RenamedUserSchema": {"status": "stored"},
    "DeclaredRoomSchema": {"status": "stored"},
    "ChangedPublicRoomSchema": {"status": "stored"},
    "ChangedMembersSchema": {"status": "stored"},
    "RemovedSchema": {"status": "stored"},
    "AttachmentSchema": {"name": "label.png"},
    "QueueSchema": {"name": "messages"},
    "PresenceSchema": {"state": "online"},
    "ExportLineSchema": {"kind": "file"},
    "ErasedLineSchema": {"kind": "message"},
}
"""Values that differ from those by name, by schema."""

LINES = {
    "ExportLineSchema": ("kind", "room_id", "attachment"),
    "ErasedLineSchema": ("kind", "room_id", "message_id"),
}
"""The fields of one line, where a schema has those of all kinds of lines."""

LEFT_OUT = frozenset({"deleted_at", "deleted_by", "edited_at", "made_by", "duplicate", "reply_to"})
"""Optional fields of answers that most objects do not have."""


def answer_example(schema: type[Schema]) -> dict[str, Any]:
    """Return an example of an answer. Raises KeyError if a field has no value yet."""
    given = schema().fields
    shown = LINES.get(schema.__name__) or [name for name in given if name not in LEFT_OUT]
    own = OF_SCHEMAS.get(schema.__name__, {})
    return {
        given[name].data_key or name: own[name] if name in own else _value(name, given[name])
        for name in shown
    }


def _value(name: str, field: fields.Field[Any]) -> Any:
    if isinstance(field, fields.Nested):
        return answer_example(type(field.schema))
    if isinstance(field, fields.List) and isinstance(field.inner, fields.Nested):
        return [answer_example(type(field.inner.schema))]
    if isinstance(field, fields.Boolean):
        return name in TRUE
    if name.endswith(("_at", "_before")):
        return NOW
    choices = [one.choices for one in field.validators if isinstance(one, OneOf)]
    if choices and VALUES.get(name) not in choices[0]:
        return next(iter(choices[0]))
    return VALUES[name]


def parameter_example(name: str) -> Any:
    """Return an example of a parameter in a path, a query or a header; of a switch, that is on."""
    return VALUES.get(name, True)


def curl_line(route: Route) -> str:
    """Return a shell command that makes the request of the examples.

    The address and the token are in the variables that the operators' commands read too.
    """
    path = route.path
    for name in route.path_params:
        path = path.replace(f"{{{name}}}", quote(VALUES[name], safe=""))
    method = "" if route.method == "GET" else f" -X {route.method}"
    lines = [f'curl{method} "$RTS_URL{path}"', '-H "Authorization: Bearer $RTS_TOKEN"']
    if route.headers is not None:
        header = f"Idempotency-Key: {VALUES['Idempotency-Key']}"
        lines.append(f"-H {shlex.quote(header)}")
    if route.body is not None:
        text = json.dumps(route.body.example, ensure_ascii=False)
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(text)}"]
    return " \\\n  ".join(lines)
