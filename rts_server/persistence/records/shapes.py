"""The marshmallow schemas of the records in the queues."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, fields
from marshmallow.validate import Equal, Length, Range, Regexp

from rts_server.persistence.records.keys import MAX_NUMBER

VERSION = 1


def _text(pattern: str, **more: Any) -> fields.String:
    return fields.String(validate=Regexp(pattern + r"\Z"), **more)


def _id(**more: Any) -> fields.String:
    return _text(r"[A-Za-z0-9_-]{1,64}", **more)


def _user(**more: Any) -> fields.String:
    return _text(r"[!-~]{1,128}", **more)


def _number(**more: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=Range(0, MAX_NUMBER), **more)


def _optional() -> fields.String:
    return fields.String(allow_none=True)


def _schema(**members: fields.Field[Any]) -> Schema:
    return Schema.from_dict(members)(unknown=EXCLUDE)


BARRIER = _schema(room_id=_id(required=True), nonce=_text(r"[!-~]{1,128}", required=True))
SETTINGS = _schema(
    room_id=_id(required=True),
    user_id=_user(required=True),
    epoch=_number(required=True),
    offset=_number(required=True),
    rev=_number(required=True),
    muted=fields.Boolean(truthy={True}, falsy={False}, required=True),
    hidden=fields.Boolean(truthy={True}, falsy={False}, required=True),
)
_CURSOR = _schema(
    user_id=_user(required=True),
    read_seq=_number(required=True),
    delivered_seq=_number(required=True),
)
CURSORS = _schema(
    room_id=_id(required=True),
    members=fields.List(fields.Nested(_CURSOR), required=True, validate=Length(min=1)),
)
FILES = _schema(
    room_id=_id(required=True),
    keep=fields.List(_id()),
    erase=fields.List(_id()),
    whole_room=fields.Boolean(truthy={True}, falsy={False}),
)
EXPIRY = _schema(
    room_id=_id(required=True), expires_at=_number(required=True), after=_id(allow_none=True)
)
EVENT = _schema(
    type=fields.String(required=True),
    ts=_optional(),
    room_id=_id(required=True),
    epoch=_number(required=True),
    offset=_number(required=True),
    data=fields.Dict(required=True),
)
RECORD = _schema(
    v=fields.Integer(strict=True, required=True, validate=Equal(VERSION)),
    event=fields.Nested(EVENT),
    barrier=fields.Nested(BARRIER),
    settings=fields.Nested(SETTINGS),
    cursors=fields.Nested(CURSORS),
    files=fields.Nested(FILES),
    expiry=fields.Nested(EXPIRY),
    message=fields.Dict(),
    erases=fields.List(_id()),
    hash=_optional(),
    member_count=_number(),
)
_ATTACHMENT = _schema(attachment_id=_id(required=True))
_MESSAGE = _schema(
    message_id=_id(required=True),
    client_msg_id=_optional(),
    room_id=_id(required=True),
    seq=_number(required=True),
    epoch=_number(required=True),
    sender_id=_user(allow_none=True),
    type=fields.String(required=True),
    text=_optional(),
    attachments=fields.List(fields.Nested(_ATTACHMENT)),
    version=_number(required=True),
    created_at=fields.String(required=True),
)
_ROOM = _schema(
    room_id=_id(required=True),
    type=fields.String(required=True),
    name=_optional(),
    external_id=_optional(),
    metadata=fields.Dict(allow_none=True),
    created_at=fields.String(required=True),
    created_by=_user(allow_none=True),
    made_by=_optional(),
    version=_number(required=True),
    frozen=fields.Boolean(truthy={True}, falsy={False}, allow_none=True),
    deleted_at=_optional(),
    member_count=_number(allow_none=True),
)
_MEMBER = _schema(
    user_id=_user(required=True),
    name=_optional(),
    role=fields.String(required=True),
    joined_at=fields.String(required=True),
    read_seq=_number(required=True),
)
ONE_MESSAGE = _schema(message=fields.Nested(_MESSAGE, required=True))
ONE_REACTION = _schema(
    message_id=_id(required=True),
    version=_number(required=True),
    reaction=fields.Nested(
        _schema(
            emoji=fields.String(required=True, validate=Length(min=1)),
            user_id=_user(required=True),
            on=fields.Boolean(truthy={True}, falsy={False}, required=True),
        ),
        required=True,
    ),
)
ONE_FAILURE = _schema(
    message_id=_id(required=True),
    client_msg_id=_optional(),
    seq=_number(required=True),
    reason=_optional(),
)
ONE_ROOM = _schema(room=fields.Nested(_ROOM, required=True))
MEMBERS = _schema(
    members=fields.List(fields.Nested(_MEMBER), required=True, validate=Length(min=1))
)
