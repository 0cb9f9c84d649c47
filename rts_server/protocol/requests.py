"""REST requests of app back ends and operators: one schema for each body, query and header."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError, fields, pre_load, validates_schema
from marshmallow.validate import Length, Range, Regexp

from rts_server.domain.size_limits import LIMITS
from rts_server.errors import MAX_DETAILS
from rts_server.protocol.commands import (
    MESSAGE_CHANGES,
    ROOM_CHANGES,
    InputSchema,
    check_has_content,
    check_one_bound,
    check_one_of,
)
from rts_server.protocol.fields import (
    MAX_SEQ,
    BoundedDict,
    BoundedList,
    Emoji,
    IdempotencyKey,
    Metadata,
    StrictBoolean,
    StrictInteger,
    choice,
    identifier,
    line,
    role,
    text,
    user,
)
from rts_server.protocol.numbers import IntegerText

UNKNOWN_FIELD = "Unknown field."

PATH_PARAMS: dict[str, fields.Field[Any]] = {
    "room_id": identifier(required=True),
    "external_id": user(required=True),
    "user_id": user(required=True),
    "other_id": user(required=True),
    "message_id": identifier(required=True),
    "emoji": Emoji(required=True),
    "instance_id": fields.String(validate=Regexp(r"[A-Za-z0-9_.-]{1,64}\Z"), required=True),
    "path": fields.String(required=True),
}
"""The parameters of paths, by name."""


def path_schema(*names: str) -> type[Schema]:
    """Return the schema of a path with these parameters."""
    return Schema.from_dict({name: PATH_PARAMS[name] for name in names}, name="Place")


def _whole(least: int, most: int, **more: Any) -> fields.Integer:
    """A number in a query, which arrives as text."""
    return IntegerText(validate=Range(least, most), **more)


def any_of(*names: str) -> dict[str, Any]:
    """Return the `more` of a schema, added to its JSON Schema: at least one field is present."""
    return {"anyOf": [{"required": [name]} for name in names]}


class RequestSchema(Schema):
    """The base of bodies and queries: a field that is not known may be misspelt, so it is refused.

    Commands ignore such fields instead: an older server must understand a newer client.

    Attributes:
        example: A valid body, shown by OpenAPI and `/v1/docs`.
    """

    example: ClassVar[dict[str, Any]] = {}

    class Meta:
        """Options of marshmallow: unknown fields are errors."""

        unknown = RAISE

    @pre_load
    def _limit_unknown_fields(self, data: Any, **_: Any) -> Any:
        """Raise ValidationError at once for more unknown fields than an answer reports."""
        if isinstance(data, Mapping) and len(data) > MAX_DETAILS:
            known = {field.data_key or name for name, field in self.load_fields.items()}
            names = (name for name in data if name not in known)
            unknown = {name: [UNKNOWN_FIELD] for name in islice(names, MAX_DETAILS)}
            if len(unknown) == MAX_DETAILS:  # a query may also repeat a known one
                raise ValidationError(unknown)
        return data


class NoFieldsSchema(RequestSchema):
    """The query or the body of a route that takes none: each field is refused by name."""


class NewMemberSchema(RequestSchema):
    """A user to add, with role and display name; or the user id alone, as a string."""

    text_form: ClassVar[str] = "user_id"
    """The field that a string stands for, in place of the object."""

    user_id = user(required=True)
    role = role(load_default="member")
    name = line(128)

    @pre_load
    def _expand_text(self, data: Any, **_: Any) -> Any:
        return {self.text_form: data} if isinstance(data, str) else data


class NewRoleSchema(RequestSchema):
    """A new role for a member."""

    user_id = user(required=True)
    role = role(required=True)


def _members(most: int, **more: Any) -> BoundedList:
    return BoundedList(fields.Nested(NewMemberSchema), 0, most, **more)


class ExternalRoomSchema(RequestSchema):
    """A group to get or create; `members` are its first members if it is created."""

    example: ClassVar[dict[str, Any]] = {
        "name": "Order 17",
        "members": [{"user_id": "alice", "role": "owner", "name": "Alice"}, "bob"],
        "metadata": {"order": 17},
    }

    members = _members(LIMITS.ids_per_call)
    name = line(LIMITS.room_name)
    metadata = Metadata()


class DirectRoomSchema(RequestSchema):
    """A direct room to get or create; `names` are display names by user id, of its two members."""

    example: ClassVar[dict[str, Any]] = {"names": {"alice": "Alice", "bob": "Bob"}}

    names = BoundedDict(0, 2, keys=user(), values=line(128))
    metadata = Metadata()


class RoomChangeSchema(RequestSchema):
    """A new name, metadata or `frozen`. With `version`, only if the room still has that version."""

    example: ClassVar[dict[str, Any]] = {"name": "Order 17, returned", "frozen": True}
    more: ClassVar[dict[str, Any]] = any_of(*ROOM_CHANGES)

    name = line(LIMITS.room_name)
    metadata = Metadata()
    frozen = StrictBoolean()
    version = StrictInteger(1, MAX_SEQ)

    @validates_schema
    def _changes_something(self, data: dict[str, Any], **_: Any) -> None:
        check_one_of(data, *ROOM_CHANGES)


class MemberSetSchema(RequestSchema):
    """All members of a group: members who are not named are removed."""

    example: ClassVar[dict[str, Any]] = {
        "members": [{"user_id": "alice", "role": "owner"}, "bob", "carol"]
    }

    members = _members(LIMITS.group_members, required=True)


class MemberBatchSchema(RequestSchema):
    """Members to add, to remove and to give another role; at most 100 in all."""

    example: ClassVar[dict[str, Any]] = {
        "add": ["carol"],
        "remove": ["bob"],
        "update": [{"user_id": "alice", "role": "owner"}],
    }
    more: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"required": [name], "properties": {name: {"minItems": 1}}}
            for name in ("add", "remove", "update")
        ]
    }
    add = _members(LIMITS.ids_per_call, load_default=list)
    remove = BoundedList(user(), 0, LIMITS.ids_per_call, load_default=list)
    update = BoundedList(fields.Nested(NewRoleSchema), 0, LIMITS.ids_per_call, load_default=list)

    @validates_schema
    def _fits(self, data: dict[str, Any], **_: Any) -> None:
        count = len(data["add"]) + len(data["remove"]) + len(data["update"])
        if not 1 <= count <= LIMITS.ids_per_call:
            raise ValidationError(f"1 to {LIMITS.ids_per_call} users in all.", "add")


class NewMessageSchema(RequestSchema):
    """A message of a member (`on_behalf_of`) or of the operator."""

    example: ClassVar[dict[str, Any]] = {
        "text": "Your parcel has left the warehouse.",
        "metadata": {"order": 17},
    }

    text = text(required=True, metadata={"minLength": 1})
    on_behalf_of = user()
    mentions = BoundedList(user(), 0, LIMITS.mentions)
    reply_to = identifier()
    metadata = Metadata()

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_: Any) -> None:
        check_has_content(data)


class MessageChangeSchema(RequestSchema):
    """A new text, metadata or mentions. With `version`, only if the message still has that version.

    `on_behalf_of`: the member who sent it; without, the operator did.
    """

    example: ClassVar[dict[str, Any]] = {"text": "Your parcel has arrived.", "version": 1}
    more: ClassVar[dict[str, Any]] = any_of(*MESSAGE_CHANGES)

    text = text()
    mentions = BoundedList(user(), 0, LIMITS.mentions)
    metadata = Metadata()
    version = StrictInteger(1, MAX_SEQ)
    on_behalf_of = user()

    @validates_schema
    def _changes_something(self, data: dict[str, Any], **_: Any) -> None:
        check_one_of(data, *MESSAGE_CHANGES)


class OnBehalfOfSchema(RequestSchema):
    """`on_behalf_of`: act as this member, under their rights, instead of as the operator."""

    on_behalf_of = user()


class IdempotencyKeySchema(InputSchema):
    """Requests of one sender with the same key are one message."""

    client_msg_id = IdempotencyKey(
        data_key="Idempotency-Key", load_default=lambda: secrets.token_hex(16)
    )


class PageSchema(RequestSchema):
    """A page of a list."""

    cursor = fields.String(validate=Length(1, 400))
    limit = _whole(1, 100, load_default=100)


class RoomPageSchema(PageSchema):
    """A page of a user's rooms: the hidden ones, or the others."""

    limit = _whole(1, 50, load_default=50)
    hidden = fields.Boolean(truthy={"1", "true"}, falsy={"0", "false"}, load_default=False)


class ExplainSchema(RequestSchema):
    """`explain`: include the details."""

    explain = fields.Boolean(truthy={"1", "true"}, falsy={"0", "false"}, load_default=False)


class UnreadPageSchema(PageSchema, ExplainSchema):
    """A page of the rooms that the totals come from."""


class EventPageSchema(RequestSchema):
    """Events after `epoch:offset`; without it, from the beginning of the current epoch."""

    after = fields.String(validate=Regexp(r"[0-9]{1,10}:[0-9]{1,10}\Z"))
    limit = _whole(1, LIMITS.replay_events, load_default=100)


class RepairSchema(RequestSchema):
    """`repair`: store again what is missing in the archive or differs from Redis."""

    repair = fields.Boolean(truthy={"1", "true"}, falsy={"0", "false"}, load_default=False)


class PeekSchema(RequestSchema):
    """How many records of each dead-letter queue to show."""

    peek = _whole(0, 10, load_default=10)


class ReplaySchema(RequestSchema):
    """A dead-letter queue, and how many of its records to replay at most."""

    example: ClassVar[dict[str, Any]] = {"queue": "messages", "limit": 100}

    queue = choice("messages", "rooms", "cursors", required=True)
    limit = StrictInteger(1, 1_000, load_default=1_000)


class GlanceSchema(RequestSchema):
    """How many records to show."""

    limit = _whole(1, 100, load_default=100)


class ReplayKeptSchema(RequestSchema):
    """How many records to replay at most."""

    example: ClassVar[dict[str, Any]] = {"limit": 100}

    limit = StrictInteger(1, 1_000, load_default=1_000)


class UserChangeSchema(RequestSchema):
    """A new display name."""

    example: ClassVar[dict[str, Any]] = {"name": "Alice B."}

    name = line(128, required=True)


class DisconnectSchema(RequestSchema):
    """`reconnect`: clients reconnect by themselves."""

    example: ClassVar[dict[str, Any]] = {"reconnect": True}

    reconnect = StrictBoolean(load_default=False)


class MessagePageSchema(RequestSchema):
    """A page of history; without a bound, the newest messages."""

    before_seq = _whole(1, MAX_SEQ)
    after_seq = _whole(0, MAX_SEQ)
    around_seq = _whole(0, MAX_SEQ)
    limit = _whole(1, 100, load_default=50)

    @validates_schema
    def _one_bound(self, data: dict[str, Any], **_: Any) -> None:
        check_one_bound(data)
