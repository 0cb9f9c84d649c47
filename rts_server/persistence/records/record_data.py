"""The data of each kind of record, as `shapes` lets it through."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:  # the Lambda functions do not have these modules
    from rts_server.types.objects import Message, PublicRoom


class MessageData(TypedDict):
    """A message in its newest state: `message.new`, `message.updated`, `message.deleted`."""

    message: Message


class ReactionChange(TypedDict):
    """One user's reaction, given or withdrawn."""

    emoji: str
    user_id: str
    on: bool


class ReactionData(TypedDict):
    """`message.updated` of a reaction: the change, and the version of the message that it made."""

    message_id: str
    version: int
    reaction: ReactionChange


class FailureData(TypedDict):
    """`message.failed`: a message that can never be stored."""

    message_id: str
    client_msg_id: NotRequired[str | None]
    seq: int
    reason: NotRequired[str | None]


class RoomData(TypedDict):
    """`room.created`, `room.updated`: the room in its newest state."""

    room: PublicRoom


class RecordedMember(TypedDict):
    """A member in a record."""

    user_id: str
    role: str
    joined_at: str
    read_seq: int
    name: NotRequired[str | None]


class MembersData(TypedDict):
    """`member.added`, `member.updated`, `member.removed`."""

    members: list[RecordedMember]


class BarrierData(TypedDict):
    """A barrier: stored once everything before it in the queue is."""

    room_id: str
    nonce: str


class SettingsData(TypedDict):
    """A member's own settings of a room; `rev` orders those of one offset."""

    room_id: str
    user_id: str
    epoch: int
    offset: int
    rev: int
    muted: bool
    hidden: bool


class RecordedCursor(TypedDict):
    """A member's cursors."""

    user_id: str
    read_seq: int
    delivered_seq: int


class CursorsData(TypedDict):
    """Cursors of some members of a room."""

    room_id: str
    members: list[RecordedCursor]


class FilesData(TypedDict):
    """Ids of attachments to keep and to erase; or all files of a room go."""

    room_id: str
    keep: NotRequired[list[str]]
    erase: NotRequired[list[str]]
    whole_room: NotRequired[bool]


class ExpiryData(TypedDict):
    """The messages of a room behind the id `after` expire at a time (s since 1970)."""

    room_id: str
    expires_at: int
    after: NotRequired[str | None]
