"""The answers of REST that only operators get, one schema each."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import OneOf

from rts_server.protocol import objects
from rts_server.protocol.answers import DurableSchema, ExplainedSchema, UnreadSchema
from rts_server.protocol.fields import SentEvent
from rts_server.protocol.objects import OutputSchema, many, one


class PublicRoomAnswerSchema(OutputSchema):
    """A room as operators see it."""

    room = one(objects.PublicRoomSchema)


class ChangedPublicRoomSchema(DurableSchema):
    """The room after the change."""

    room = one(objects.PublicRoomSchema)


class DeclaredRoomSchema(ChangedPublicRoomSchema):
    """The room of an external id. `created` is false if it existed already."""

    created = fields.Boolean(required=True)


class ChangedMembersSchema(DurableSchema):
    """The users who were added, removed or given another role. Others were so already."""

    added = fields.List(fields.String(), required=True)
    removed = fields.List(fields.String(), required=True)
    updated = fields.List(fields.String(), required=True)


class EventsSchema(OutputSchema):
    """Events after a position. `recovered` is false if the hot log does not reach back that far."""

    events = fields.List(SentEvent(), required=True)
    after = fields.String(required=True)
    has_more = fields.Boolean(required=True)
    recovered = fields.Boolean(required=True)


class ExplainedRoomSchema(ExplainedSchema):
    """The parts of a room's unread count. `counts` is false for a muted or hidden room."""

    room_id = fields.String(required=True)
    counts = fields.Boolean(required=True)


class ExplainedUnreadSchema(UnreadSchema):
    """The user's unread totals; with `explain`, also a page of the rooms they come from."""

    rooms = many(ExplainedRoomSchema, required=False)
    next_cursor = fields.String(allow_none=True)


class NamedUserSchema(OutputSchema):
    """A user; `name` is that of their newest membership that has one."""

    user_id = fields.String(required=True)
    name = fields.String()


class RenamedUserSchema(DurableSchema):
    """The user with the new name. `rooms` counts the rooms in which it was another before."""

    user = one(NamedUserSchema)
    rooms = fields.Integer(required=True)


class UserProfileSchema(OutputSchema):
    """What the server knows of a user. `rooms` counts the rooms they are in, hidden ones too."""

    user = one(NamedUserSchema)
    presence = one(objects.PresenceSchema)
    rooms = fields.Integer(required=True)


class ReceiversSchema(OutputSchema):
    """The number of instances that received the request."""

    instances = fields.Integer(required=True)


class RevokedSchema(OutputSchema):
    """Tokens issued at or before `revoked_before` are refused."""

    user_id = fields.String(required=True)
    revoked_before = fields.String(required=True)


class InstanceSchema(OutputSchema):
    """An instance and the details it last reported. Its lease ends at `expires_at`."""

    instance_id = fields.String(required=True)
    expires_at = fields.String(required=True)
    started_at = fields.String()
    connections = fields.Integer()


class InstancesSchema(OutputSchema):
    """The instances with a valid lease."""

    instances = many(InstanceSchema)


class CountedSchema(OutputSchema):
    """The connections of a user on one instance. `alive` is false once its lease has ended."""

    instance_id = fields.String(required=True)
    connections = fields.Integer(required=True)
    alive = fields.Boolean(required=True)


class ExplainedPresenceSchema(OutputSchema):
    """The presence of a user; with `explain`, also where their connections are."""

    presence = one(objects.PresenceSchema)
    connections = many(CountedSchema, required=False)


class MembershipSchema(OutputSchema):
    """A membership, current or past."""

    room_id = fields.String(required=True)
    state = fields.String(required=True)
    role = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    joined_at = fields.String(required=True)
    read_seq = fields.Integer(required=True)
    muted = fields.Boolean(required=True)
    hidden = fields.Boolean(required=True)


class ExportLineSchema(OutputSchema):
    """One line of an export; its `kind` says which fields it has. `end` carries the number of
    lines before it."""

    kind = fields.String(
        required=True, validate=OneOf(["presence", "membership", "message", "file", "end"])
    )
    presence = one(objects.PresenceSchema, required=False)
    membership = one(MembershipSchema, required=False)
    message = one(objects.MessageSchema, required=False)
    room_id = fields.String()
    attachment = one(objects.AttachmentSchema, required=False)
    lines = fields.Integer()


class ErasedLineSchema(OutputSchema):
    """One thing that was erased. `end` carries the number of lines before it."""

    kind = fields.String(
        required=True,
        validate=OneOf(["membership", "message", "reaction", "file", "presence", "end"]),
    )
    room_id = fields.String()
    message_id = fields.String()
    attachment_id = fields.String()
    lines = fields.Integer()


class RecordPositionSchema(OutputSchema):
    """The position of a record, as far as the record can be parsed.

    kind: the type of its event, the name of its other part, or `unreadable`.
    """

    room_id = fields.String()
    epoch = fields.Integer()
    offset = fields.Integer()
    message_id = fields.String()
    client_msg_id = fields.String()
    seq = fields.Integer()
    kind = fields.String(required=True)


class DeadRecordSchema(RecordPositionSchema):
    """A record in a dead-letter queue, and its number of receives. sent_ms: Unix time."""

    sqs_message_id = fields.String(required=True)
    receives = fields.Integer(required=True)
    sent_ms = fields.Integer(required=True)


class QueueSchema(OutputSchema):
    """A queue with the approximate counts of SQS; for a dead-letter queue also some of its
    records."""

    name = fields.String(required=True)
    waiting = fields.Integer(required=True)
    in_flight = fields.Integer(required=True)
    delayed = fields.Integer(required=True)
    records = many(DeadRecordSchema, required=False)


class QueuesSchema(OutputSchema):
    """All queues."""

    queues = many(QueueSchema)


class QuarantinedRecordSchema(RecordPositionSchema):
    """A record that could never be applied. One that is not `whole` is too long to be replayed."""

    reason = fields.String(required=True)
    whole = fields.Boolean(required=True)


class QuarantinedSchema(OutputSchema):
    """The quarantined records, in the order of each room."""

    records = many(QuarantinedRecordSchema)


class ReplayedSchema(OutputSchema):
    """The number of records that were replayed, and of those that are left."""

    replayed = fields.Integer(required=True)
    left = fields.Integer(required=True)


class VerifiedSchema(OutputSchema):
    """The differences between Redis and the archive, and the ids of messages stored again.

    gaps: seqs without a message. duplicates: seqs with several. orphans: ids of messages in one
    place only. changed: ids of messages with another state in the archive.
    """

    gaps = fields.List(fields.Integer(), required=True)
    duplicates = fields.List(fields.Integer(), required=True)
    orphans = fields.List(fields.String(), required=True)
    changed = fields.List(fields.String(), required=True)
    messages = fields.Integer(required=True)
    warm = fields.Boolean(required=True)
    repaired = fields.List(fields.String(), required=True)
