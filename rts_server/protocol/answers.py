"""The data of the acks, one schema for each kind of answer."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import OneOf

from rts_server.protocol import objects
from rts_server.protocol.objects import Shown, many, one


class Empty(Shown):
    """Done."""


class Durable(Shown):
    """`accepted`: heard by all, and on its way."""

    status = fields.String(required=True, validate=OneOf(["queued", "stored", "accepted"]))


class Created(Durable):
    """The room, and whether it is new."""

    room = one(objects.Room)
    created = fields.Boolean(required=True)


class ChangedRoom(Durable):
    """The room after the change."""

    room = one(objects.Room)


class OneRoom(Shown):
    """A room."""

    room = one(objects.Room)


class Rooms(Shown):
    """A page of the list, and the user's totals."""

    rooms = many(objects.Room)
    next_cursor = fields.String(required=True, allow_none=True)
    unread = one(objects.Totals)


class Added(Durable):
    """The members asked for, and who of them was one already."""

    members = many(objects.Member)
    already = fields.List(fields.String(), required=True)


class Removed(Durable):
    """Who went."""

    removed = fields.List(fields.String(), required=True)


class ChangedMember(Durable):
    """The member after the change."""

    member = one(objects.Member)


class Members(Shown):
    """A page of members."""

    members = many(objects.Member)
    next_cursor = fields.String(required=True, allow_none=True)


class Sent(Durable):
    """Where the message stands."""

    message_id = fields.String(required=True)
    client_msg_id = fields.String(required=True)
    seq = fields.Integer(required=True)
    epoch = fields.Integer(required=True)
    offset = fields.Integer(required=True)
    created_at = fields.String(required=True)
    duplicate = fields.Boolean()


class ChangedMessage(Durable):
    """The message after the change."""

    message = one(objects.Message)


class OneMessage(Shown):
    """A message."""

    message = one(objects.Message)


class Messages(Shown):
    """A page of history, ascending by seq."""

    messages = many(objects.Message)
    has_more = fields.Boolean(required=True)


class Granted(Shown):
    """A signed form: POST `fields`, then the file under `file`, to `url` before it expires."""

    attachment_id = fields.String(required=True)
    url = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, data_key="fields"
    )
    expires_at = fields.String(required=True)


class Completed(Shown):
    """The file as a message shows it."""

    attachment = one(objects.Attachment)


class Link(Shown):
    """Where to download a file, until it expires."""

    url = fields.String(required=True)
    expires_at = fields.String(required=True)


class RoomSync(Shown):
    """What was missed in one room, or that it is the user's no more."""

    removed = fields.Boolean()
    recovered = fields.Boolean()
    events = fields.List(fields.Dict())
    epoch = fields.Integer()
    offset = fields.Integer()
    has_more = fields.Boolean()


class Synced(Shown):
    """What was missed, by room."""

    rooms = fields.Dict(keys=fields.String(), values=fields.Nested(RoomSync), required=True)


class Refreshed(Shown):
    """When the newest token ends."""

    expires_at = fields.String(required=True)


class Read(Shown):
    """The user's cursors and what is left unread."""

    read_seq = fields.Integer(required=True)
    delivered_seq = fields.Integer(required=True)
    unread = fields.Integer(required=True)


class Receipts(Shown):
    """The cursors of all members."""

    receipts = many(objects.Cursor)


class OnePresence(Shown):
    """The user's own presence."""

    presence = one(objects.Presence)


class Presences(Shown):
    """One for each user asked for, in the order asked."""

    presences = many(objects.PresenceOrError)


class Unread(Shown):
    """The user's totals."""

    unread = one(objects.Totals)


class Explained(Shown):
    """unread = seq − read_seq − uncounted, never below 0."""

    seq = fields.Integer(required=True)
    read_seq = fields.Integer(required=True)
    uncounted = fields.Integer(required=True)
    unread = fields.Integer(required=True)


class PublicRoom(Shown):
    """A room as an operator sees it."""

    room = one(objects.PublicRoom)


class ChangedPublicRoom(Durable):
    """The room after the change."""

    room = one(objects.PublicRoom)


class DeclaredRoom(ChangedPublicRoom):
    """The room of a business key, and whether it is new."""

    created = fields.Boolean(required=True)


class ChangedMembers(Durable):
    """Who came, went and has another role; who is named in none was so already."""

    added = fields.List(fields.String(), required=True)
    removed = fields.List(fields.String(), required=True)
    updated = fields.List(fields.String(), required=True)


class Events(Shown):
    """What happened in a room behind `after`; `recovered` false: more than the log still holds."""

    events = fields.List(fields.Dict(), required=True)
    after = fields.String(required=True)
    has_more = fields.Boolean(required=True)
    recovered = fields.Boolean(required=True)


class ExplainedRoom(Explained):
    """Why a room's unread is what it is; a muted or hidden one counts in no total."""

    room_id = fields.String(required=True)
    counts = fields.Boolean(required=True)


class ExplainedUnread(Unread):
    """The user's totals; explained, a page of the rooms they come from."""

    rooms = many(ExplainedRoom, required=False)
    next_cursor = fields.String(allow_none=True)


class Told(Shown):
    """How many instances were told."""

    instances = fields.Integer(required=True)


class Revoked(Shown):
    """All tokens issued up to then are void."""

    user_id = fields.String(required=True)
    revoked_before = fields.String(required=True)


class Instance(Shown):
    """An instance as it last told of itself; its lease ends unless it is renewed."""

    instance_id = fields.String(required=True)
    expires_at = fields.String(required=True)
    started_at = fields.String()
    connections = fields.Integer()


class Instances(Shown):
    """The instances whose lease lives."""

    instances = many(Instance)


class Counted(Shown):
    """Connections of a user at one instance; not alive: until the sweep."""

    instance_id = fields.String(required=True)
    connections = fields.Integer(required=True)
    alive = fields.Boolean(required=True)


class ExplainedPresence(Shown):
    """How a user is; explained, where his connections are."""

    presence = one(objects.Presence)
    connections = many(Counted, required=False)


class Membership(Shown):
    """A membership, past ones included."""

    room_id = fields.String(required=True)
    state = fields.String(required=True)
    role = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    joined_at = fields.String(required=True)
    read_seq = fields.Integer(required=True)
    muted = fields.Boolean(required=True)
    hidden = fields.Boolean(required=True)


class ExportLine(Shown):
    """A membership, a message, a file (cited or not) in a room, how the user is, or the end with
    the number of lines before it."""

    kind = fields.String(
        required=True, validate=OneOf(["presence", "membership", "message", "file", "end"])
    )
    presence = one(objects.Presence, required=False)
    membership = one(Membership, required=False)
    message = one(objects.Message, required=False)
    room_id = fields.String()
    attachment = one(objects.Attachment, required=False)
    lines = fields.Integer()


class ErasedLine(Shown):
    """A membership, message, reaction or file that is no more, how he was, or the end with the
    number of lines."""

    kind = fields.String(
        required=True,
        validate=OneOf(["membership", "message", "reaction", "file", "presence", "end"]),
    )
    room_id = fields.String()
    message_id = fields.String()
    attachment_id = fields.String()
    lines = fields.Integer()


class DeadRecord(Shown):
    """A record that was given up: where it belongs, as far as that can be made out."""

    room_id = fields.String()
    epoch = fields.Integer()
    offset = fields.Integer()
    message_id = fields.String()
    client_msg_id = fields.String()
    seq = fields.Integer()
    receives = fields.Integer(required=True)
    sent_ms = fields.Integer(required=True)


class Queue(Shown):
    """A queue, its counts being SQS's own guesses; of a DLQ some of its records."""

    name = fields.String(required=True)
    waiting = fields.Integer(required=True)
    in_flight = fields.Integer(required=True)
    delayed = fields.Integer(required=True)
    records = many(DeadRecord, required=False)


class Queues(Shown):
    """All queues."""

    queues = many(Queue)


class QuarantinedRecord(Shown):
    """A record that could never be applied; not whole: it was too long to be sent again."""

    room_id = fields.String()
    epoch = fields.Integer()
    offset = fields.Integer()
    message_id = fields.String()
    client_msg_id = fields.String()
    seq = fields.Integer()
    reason = fields.String(required=True)
    whole = fields.Boolean(required=True)


class Quarantined(Shown):
    """What the quarantine kept, in the order of each room."""

    records = many(QuarantinedRecord)


class Replayed(Shown):
    """How many went back, and how many are left."""

    replayed = fields.Integer(required=True)
    left = fields.Integer(required=True)


class Verified(Shown):
    """What does not agree between Redis and the archive, and what was stored anew.

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
