"""The commands of `/chat`: one schema each. Unknown fields are ignored, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length

from rts_server.protocol import media
from rts_server.protocol.fields import (
    LARGEST_SEQ,
    LIMITS,
    Emoji,
    Entries,
    Flag,
    Items,
    Metadata,
    Whole,
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

LARGEST_SIDE = 100_000


NOT_TAKEN = "Not taken here."


class InputSchema(Schema):
    """What every command has in common.

    `elsewhere`: fields that others of its kind take. Whoever sends one here means something by it
    that would not happen, so it is refused; what nobody knows is left out.
    """

    elsewhere: ClassVar[frozenset[str]] = frozenset()

    class Meta:
        """Unknown fields are left out."""

        unknown = EXCLUDE

    def load(self, data: Any, **more: Any) -> Any:
        """The valid payload. Raises ValidationError, MessageTooLarge."""
        if isinstance(data, Mapping) and not self.elsewhere.isdisjoint(data):
            told = sorted(self.elsewhere.intersection(data))
            raise ValidationError({name: [NOT_TAKEN] for name in told})
        return super().load(data, **more)


def know(*kinds: type[InputSchema], also: Iterable[str] = ()) -> None:
    """These are of one kind: what one of them takes, or `also`, the others refuse."""
    takes = {kind: frozenset(kind._declared_fields) for kind in kinds}
    known = frozenset(also).union(*takes.values())
    for kind, taken in takes.items():
        kind.elsewhere = known - taken


def says_something(data: dict[str, Any]) -> None:
    """A message is not empty, and cites no file twice. Raises ValidationError."""
    cited = data.get("attachments", [])
    if len(set(cited)) < len(cited):
        raise ValidationError("One of them twice.", "attachments")
    if not data["text"] and not cited:
        raise ValidationError("Not empty.", "text")


class RoomCreateSchema(InputSchema):
    """direct: the other member; group: client_room_id, and any first members.

    external_id instead where `RTS_CLIENT_EXTERNAL_IDS` is on, else `forbidden`.
    """

    type = choice("direct", "group", required=True)
    members = Items(user(), 0, LIMITS.ids_per_call, required=True)
    name = line(LIMITS.room_name)
    external_id = user()
    client_room_id = identifier()
    metadata = Metadata()

    @validates_schema
    def _fits_its_type(self, data: dict[str, Any], **_: Any) -> None:
        keys = [name for name in ("external_id", "client_room_id") if name in data]
        if data["type"] == "direct":
            if keys:
                raise ValidationError("A direct room is named by its members.", keys[0])
            if "name" in data:
                raise ValidationError("A direct room has no name.", "name")
        elif len(keys) != 1:
            raise ValidationError("One of external_id and client_room_id.", "external_id")


class RoomGetSchema(InputSchema):
    """One room."""

    room_id = identifier(required=True)


class RoomListSchema(InputSchema):
    """A page of the rooms of the user."""

    limit = Whole(1, 50, load_default=50)
    cursor = fields.String(validate=Length(1, 200))
    hidden = Flag(load_default=False)


class RoomUpdateSchema(InputSchema):
    """Another name, metadata or frozen; `version`: only if the room still has it."""

    room_id = identifier(required=True)
    name = line(LIMITS.room_name)
    metadata = Metadata()
    frozen = Flag()
    version = Whole(1, LARGEST_SEQ)

    @validates_schema
    def _changes_something(self, data: dict[str, Any], **_: Any) -> None:
        if not {"name", "metadata", "frozen"} & set(data):
            raise ValidationError("One of name, metadata and frozen.", "name")


class RoomLeaveSchema(InputSchema):
    """Go by oneself; the last owner names another."""

    room_id = identifier(required=True)
    new_owner = user()


class RoomHideSchema(InputSchema):
    """Leave the room out of one's list until a new message of another."""

    room_id = identifier(required=True)
    hidden = Flag(required=True)


class RoomMuteSchema(InputSchema):
    """Leave the room out of one's totals."""

    room_id = identifier(required=True)
    muted = Flag(required=True)


class MemberAddSchema(InputSchema):
    """New members of a group."""

    room_id = identifier(required=True)
    user_ids = users(required=True)
    role = role(load_default="member")


class MemberUpdateSchema(InputSchema):
    """Another role for a member."""

    room_id = identifier(required=True)
    user_id = user(required=True)
    role = role(required=True)


class MemberRemoveSchema(InputSchema):
    """Members of a group who are to go."""

    room_id = identifier(required=True)
    user_ids = users(required=True)


class MemberListSchema(InputSchema):
    """A page of a room's members, in order of user id."""

    room_id = identifier(required=True)
    cursor = fields.String(validate=Length(1, 400))
    limit = Whole(1, 100, load_default=100)


class MessageSendSchema(InputSchema):
    """A message. `client_msg_id` is random and makes every repetition the same message."""

    room_id = identifier(required=True)
    client_msg_id = identifier(required=True)
    text = text(load_default="")
    attachments = Items(identifier(), 0, LIMITS.attachments)
    mentions = Items(user(), 0, LIMITS.mentions)
    reply_to = identifier()
    metadata = Metadata()

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_: Any) -> None:
        says_something(data)


class MessageEditSchema(InputSchema):
    """Another text, metadata or mentions; `version`: only if the message still has it.

    The text may be empty where files remain.
    """

    room_id = identifier(required=True)
    message_id = identifier(required=True)
    text = text()
    mentions = Items(user(), 0, LIMITS.mentions)
    metadata = Metadata()
    version = Whole(1, LARGEST_SEQ)

    @validates_schema
    def _changes_something(self, data: dict[str, Any], **_: Any) -> None:
        if not {"text", "metadata", "mentions"} & set(data):
            raise ValidationError("One of text, metadata and mentions.", "text")


class MessageDeleteSchema(InputSchema):
    """A message that is to go."""

    room_id = identifier(required=True)
    message_id = identifier(required=True)


class MessageReactSchema(InputSchema):
    """A reaction that comes or goes."""

    room_id = identifier(required=True)
    message_id = identifier(required=True)
    emoji = Emoji(required=True)
    on = Flag(required=True)


class MessageListSchema(InputSchema):
    """A page of history; without a bound the newest."""

    room_id = identifier(required=True)
    before_seq = Whole(1, LARGEST_SEQ)
    after_seq = Whole(0, LARGEST_SEQ)
    around_seq = Whole(0, LARGEST_SEQ)
    limit = Whole(1, 100, load_default=50)

    @validates_schema
    def _one_bound(self, data: dict[str, Any], **_: Any) -> None:
        bounds = [name for name in ("before_seq", "after_seq", "around_seq") if name in data]
        if len(bounds) > 1:
            raise ValidationError("Only one bound.", bounds[1])


class UploadRequestSchema(InputSchema):
    """A file that is to be uploaded, its content already hashed; width and height of a picture."""

    room_id = identifier(required=True)
    name = fields.String(required=True, validate=Length(1, LIMITS.file_name))
    size = Whole(1, LIMITS.attachment_bytes, required=True)
    content_type = content_type(required=True)
    checksum_sha256 = sha256(required=True)
    width = Whole(1, LARGEST_SIDE)
    height = Whole(1, LARGEST_SIDE)

    @post_load
    def _one_spelling(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return data | {"content_type": media.spelt(data["content_type"])}


class UploadCompleteSchema(InputSchema):
    """A file that was uploaded."""

    room_id = identifier(required=True)
    attachment_id = identifier(required=True)


class UploadUrlSchema(InputSchema):
    """A file of a message that is to be downloaded."""

    room_id = identifier(required=True)
    message_id = identifier(required=True)
    attachment_id = identifier(required=True)


class ReceiptReadSchema(InputSchema):
    """Everything up to a seq is read."""

    room_id = identifier(required=True)
    up_to_seq = Whole(0, LARGEST_SEQ, required=True)


class ReceiptDeliveredSchema(InputSchema):
    """Everything up to a seq has arrived: `{room_id: up_to_seq}`, all rooms at once."""

    rooms = Entries(
        0,
        LIMITS.cursor_rooms,
        keys=identifier(),
        values=Whole(0, LARGEST_SEQ),
        required=True,
    )


class PresenceSetSchema(InputSchema):
    """What a user says of himself; a text of null is none, left out it stays as it is."""

    state = choice("online", "away", required=True)
    status_text = line(LIMITS.status_text, allow_none=True)


class PresenceQuerySchema(InputSchema):
    """How some users are."""

    user_ids = users(required=True)


class PresenceWatchSchema(InputSchema):
    """Whom this socket watches from now on; the list replaces the one before."""

    user_ids = Items(user(), 0, LIMITS.watched, required=True)


class NothingSchema(InputSchema):
    """No payload."""


class AuthRefreshSchema(InputSchema):
    """A newer token of the same user."""

    token = fields.String(required=True)


class SyncSchema(InputSchema):
    """What was missed since `{room_id: [epoch, offset, …]}`."""

    cursors = Entries(
        0,
        LIMITS.cursor_rooms,
        keys=identifier(),
        values=Items(Whole(0, LARGEST_SEQ), 2, 4),
        required=True,
    )


class MessageGetSchema(InputSchema):
    """One message."""

    room_id = identifier(required=True)
    message_id = identifier(required=True)


know(
    RoomCreateSchema,
    RoomGetSchema,
    RoomListSchema,
    RoomUpdateSchema,
    RoomLeaveSchema,
    RoomHideSchema,
    RoomMuteSchema,
)
know(MemberAddSchema, MemberUpdateSchema, MemberRemoveSchema, MemberListSchema)
know(
    MessageSendSchema,
    MessageEditSchema,
    MessageDeleteSchema,
    MessageReactSchema,
    MessageListSchema,
    MessageGetSchema,
)
know(UploadRequestSchema, UploadCompleteSchema, UploadUrlSchema)
know(ReceiptReadSchema, ReceiptDeliveredSchema)
know(PresenceSetSchema, PresenceQuerySchema, PresenceWatchSchema)
