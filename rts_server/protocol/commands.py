"""The payloads of commands, one schema each. Unknown fields are ignored and never stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length

from rts_server.domain.size_limits import LIMITS
from rts_server.protocol import media
from rts_server.protocol.fields import (
    MAX_SEQ,
    BoundedDict,
    BoundedList,
    Emoji,
    Metadata,
    StrictBoolean,
    StrictInteger,
    choice,
    content_type,
    identifier,
    line,
    role,
    sha256,
    text,
    user,
    users,
)
from rts_server.protocol.plain_check import PlainCheck

MAX_PICTURE_SIDE_PIXELS = 100_000

MISPLACED_FIELD = "This command does not accept this field."


class InputSchema(Schema):
    """The base of all schemas of input.

    Attributes:
        misplaced: Fields of related schemas. A client that sends one expects an effect that it does
            not have here, so it is refused; fields that no related schema has are ignored.
    """

    misplaced: ClassVar[frozenset[str]] = frozenset()

    class Meta:
        """Options of marshmallow: unknown fields are dropped."""

        unknown = EXCLUDE

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._plain = PlainCheck(self)

    def load(self, data: Any, **more: Any) -> Any:
        """Return the validated payload. Raises ValidationError, MessageTooLarge."""
        if type(data) is dict and (accepted := self._plain.accepted(data)) is not None:
            return accepted
        return self.load_by_field(data, **more)

    def load_by_field(self, data: Any, **more: Any) -> Any:
        """Like `load`, without its quick check."""
        if isinstance(data, Mapping) and not self.misplaced.isdisjoint(data):
            names = sorted(self.misplaced.intersection(data))
            raise ValidationError({name: [MISPLACED_FIELD] for name in names})
        return super().load(data, **more)


def refuse_misplaced_fields(*kinds: type[InputSchema], also: Iterable[str] = ()) -> None:
    """Make each of these schemas refuse the fields of the others, and those in `also`."""
    takes = {kind: frozenset(kind._declared_fields) for kind in kinds}
    known = frozenset(also).union(*takes.values())
    for kind, taken in takes.items():
        kind.misplaced = known - taken


ROOM_CHANGES = ("name", "metadata", "frozen")
MESSAGE_CHANGES = ("text", "metadata", "mentions")
"""The fields of which a change has at least one."""


def check_has_content(data: dict[str, Any]) -> None:
    """Raise ValidationError if a message is empty or attaches a file twice."""
    cited = data.get("attachments", [])
    if len(set(cited)) < len(cited):
        raise ValidationError("A file is attached twice.", "attachments")
    if not data["text"] and not cited:
        raise ValidationError("A message must not be empty.", "text")


def check_one_of(data: dict[str, Any], first: str, *others: str) -> None:
    """Raise ValidationError, at the first field, unless at least one of the fields is there."""
    if not {first, *others} & data.keys():
        *most, last = first, *others
        raise ValidationError(f"One of {', '.join(most)} and {last}.", first)


def check_one_bound(data: dict[str, Any]) -> None:
    """Raise ValidationError if a page of history has several bounds."""
    bounds = [name for name in ("before_seq", "after_seq", "around_seq") if name in data]
    if len(bounds) > 1:
        raise ValidationError("Only one bound is allowed.", bounds[1])


class RoomCreateSchema(InputSchema):
    """A direct room with the other member, or a group with `client_room_id` and first members.

    A group may have `external_id` instead if `RTS_CLIENT_EXTERNAL_IDS` is on, else `forbidden`.
    """

    type = choice("direct", "group", required=True)
    members = BoundedList(user(), 0, LIMITS.ids_per_call, required=True)
    name = line(LIMITS.room_name)
    external_id = user()
    client_room_id = identifier()
    metadata = Metadata()

    @validates_schema
    def _fits_its_type(self, data: dict[str, Any], **_: Any) -> None:
        keys = [name for name in ("external_id", "client_room_id") if name in data]
        if data["type"] == "direct":
            if keys:
                raise ValidationError("A direct room is identified by its members.", keys[0])
            if "name" in data:
                raise ValidationError("A direct room has no name.", "name")
        elif len(keys) != 1:
            raise ValidationError("One of external_id and client_room_id.", "external_id")


class RoomGetSchema(InputSchema):
    """A room."""

    room_id = identifier(required=True)


class RoomListSchema(InputSchema):
    """A page of the user's rooms."""

    limit = StrictInteger(1, 50, load_default=50)
    cursor = fields.String(validate=Length(1, 200))
    hidden = StrictBoolean(load_default=False)


class RoomUpdateSchema(InputSchema):
    """A new name, metadata or `frozen`. With `version`, only if the room still has that version."""

    room_id = identifier(required=True)
    name = line(LIMITS.room_name)
    metadata = Metadata()
    frozen = StrictBoolean()
    version = StrictInteger(1, MAX_SEQ)

    @validates_schema
    def _changes_something(self, data: dict[str, Any], **_: Any) -> None:
        check_one_of(data, *ROOM_CHANGES)


class RoomLeaveSchema(InputSchema):
    """Leave a room. The last owner must name a new one."""

    room_id = identifier(required=True)
    new_owner = user()


class RoomHideSchema(InputSchema):
    """Hide a room from the user's list until somebody else sends a message."""

    room_id = identifier(required=True)
    hidden = StrictBoolean(required=True)


class RoomMuteSchema(InputSchema):
    """Leave a room out of the user's unread totals."""

    room_id = identifier(required=True)
    muted = StrictBoolean(required=True)


class MemberAddSchema(InputSchema):
    """Users to add to a group, with their role."""

    room_id = identifier(required=True)
    user_ids = users(required=True)
    role = role(load_default="member")


class MemberUpdateSchema(InputSchema):
    """A new role for a member."""

    room_id = identifier(required=True)
    user_id = user(required=True)
    role = role(required=True)


class MemberRemoveSchema(InputSchema):
    """Users to remove from a group."""

    room_id = identifier(required=True)
    user_ids = users(required=True)


class MemberListSchema(InputSchema):
    """A page of a room's members, in order of user id."""

    room_id = identifier(required=True)
    cursor = fields.String(validate=Length(1, 400))
    limit = StrictInteger(1, 100, load_default=100)


class MessageSendSchema(InputSchema):
    """A message. `client_msg_id`, best a UUID version 7, makes repetitions one message."""

    room_id = identifier(required=True)
    client_msg_id = identifier(required=True)
    text = text(load_default="")
    attachments = BoundedList(identifier(), 0, LIMITS.attachments)
    mentions = BoundedList(user(), 0, LIMITS.mentions)
    reply_to = identifier()
    metadata = Metadata()

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_: Any) -> None:
        check_has_content(data)


class MessageEditSchema(InputSchema):
    """A new text, metadata or mentions. With `version`, only if the message still has that version.

    The text may be empty if the message has files.
    """

    room_id = identifier(required=True)
    message_id = identifier(required=True)
    text = text()
    mentions = BoundedList(user(), 0, LIMITS.mentions)
    metadata = Metadata()
    version = StrictInteger(1, MAX_SEQ)

    @validates_schema
    def _changes_something(self, data: dict[str, Any], **_: Any) -> None:
        check_one_of(data, *MESSAGE_CHANGES)


class MessageDeleteSchema(InputSchema):
    """A message to delete."""

    room_id = identifier(required=True)
    message_id = identifier(required=True)


class MessageReactSchema(InputSchema):
    """A reaction to add (`on`) or to remove."""

    room_id = identifier(required=True)
    message_id = identifier(required=True)
    emoji = Emoji(required=True)
    on = StrictBoolean(required=True)


class MessageListSchema(InputSchema):
    """A page of history; without a bound, the newest messages."""

    room_id = identifier(required=True)
    before_seq = StrictInteger(1, MAX_SEQ)
    after_seq = StrictInteger(0, MAX_SEQ)
    around_seq = StrictInteger(0, MAX_SEQ)
    limit = StrictInteger(1, 100, load_default=50)

    @validates_schema
    def _one_bound(self, data: dict[str, Any], **_: Any) -> None:
        check_one_bound(data)


class UploadRequestSchema(InputSchema):
    """A file to upload, with its SHA-256; `width` and `height` for a picture."""

    room_id = identifier(required=True)
    name = fields.String(required=True, validate=Length(1, LIMITS.file_name))
    size = StrictInteger(1, LIMITS.attachment_bytes, required=True)
    content_type = content_type(required=True)
    checksum_sha256 = sha256(required=True)
    width = StrictInteger(1, MAX_PICTURE_SIDE_PIXELS)
    height = StrictInteger(1, MAX_PICTURE_SIDE_PIXELS)

    @post_load
    def _normalize(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return data | {"content_type": media.normalized(data["content_type"])}


class UploadCompleteSchema(InputSchema):
    """A file whose upload is finished."""

    room_id = identifier(required=True)
    attachment_id = identifier(required=True)


class UploadUrlSchema(InputSchema):
    """A file of a message to download."""

    room_id = identifier(required=True)
    message_id = identifier(required=True)
    attachment_id = identifier(required=True)


class ReceiptReadSchema(InputSchema):
    """Mark all messages up to a seq as read."""

    room_id = identifier(required=True)
    up_to_seq = StrictInteger(0, MAX_SEQ, required=True)


class ReceiptDeliveredSchema(InputSchema):
    """Mark all messages up to a seq as delivered, in several rooms: `{room_id: up_to_seq}`."""

    rooms = BoundedDict(
        0,
        LIMITS.cursor_rooms,
        keys=identifier(),
        values=StrictInteger(0, MAX_SEQ),
        required=True,
    )


class PresenceSetSchema(InputSchema):
    """The user's state and status text. A null text clears it; without the field it is kept."""

    state = choice("online", "away", required=True)
    status_text = line(LIMITS.status_text, allow_none=True)


class PresenceQuerySchema(InputSchema):
    """Users whose presence is requested."""

    user_ids = users(required=True)


class PresenceWatchSchema(InputSchema):
    """Users to watch on this connection; the list replaces the one before."""

    user_ids = BoundedList(user(), 0, LIMITS.watched, required=True)


class NothingSchema(InputSchema):
    """An empty payload."""


class AuthRefreshSchema(InputSchema):
    """A newer token of the same user."""

    token = fields.String(required=True)


class SyncSchema(InputSchema):
    """Cursors of rooms: `{room_id: [epoch, offset, …]}`."""

    cursors = BoundedDict(
        0,
        LIMITS.cursor_rooms,
        keys=identifier(),
        values=BoundedList(StrictInteger(0, MAX_SEQ), 2, 4),
        required=True,
    )


class MessageGetSchema(InputSchema):
    """A message."""

    room_id = identifier(required=True)
    message_id = identifier(required=True)


refuse_misplaced_fields(
    RoomCreateSchema,
    RoomGetSchema,
    RoomListSchema,
    RoomUpdateSchema,
    RoomLeaveSchema,
    RoomHideSchema,
    RoomMuteSchema,
)
refuse_misplaced_fields(MemberAddSchema, MemberUpdateSchema, MemberRemoveSchema, MemberListSchema)
refuse_misplaced_fields(
    MessageSendSchema,
    MessageEditSchema,
    MessageDeleteSchema,
    MessageReactSchema,
    MessageListSchema,
    MessageGetSchema,
)
refuse_misplaced_fields(UploadRequestSchema, UploadCompleteSchema, UploadUrlSchema)
refuse_misplaced_fields(ReceiptReadSchema, ReceiptDeliveredSchema)
refuse_misplaced_fields(PresenceSetSchema, PresenceQuerySchema, PresenceWatchSchema)
