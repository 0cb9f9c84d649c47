"""The catalogue of the protocol: every command with payload and answer, every event with data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import Schema

from rts_server.protocol import answers, commands, events, objects
from rts_server.protocol.objects import ErrorSchema


@dataclass(frozen=True)
class CommandSpec:
    """A command: the schemas of its payload and of the data of its ack."""

    namespace: str
    payload: type[commands.InputSchema]
    answer: type[Schema]


@dataclass(frozen=True)
class EventSpec:
    """An event: the schema of its data. A durable event has `epoch` and `offset`."""

    namespace: str
    data: type[Schema]
    durable: bool = False


COMMANDS: dict[str, CommandSpec] = {
    "room.create": CommandSpec("/chat", commands.RoomCreateSchema, answers.CreatedSchema),
    "room.get": CommandSpec("/chat", commands.RoomGetSchema, answers.OneRoomSchema),
    "room.list": CommandSpec("/chat", commands.RoomListSchema, answers.RoomsSchema),
    "room.update": CommandSpec("/chat", commands.RoomUpdateSchema, answers.ChangedRoomSchema),
    "room.leave": CommandSpec("/chat", commands.RoomLeaveSchema, answers.DurableSchema),
    "room.hide": CommandSpec("/chat", commands.RoomHideSchema, answers.DurableSchema),
    "room.mute": CommandSpec("/chat", commands.RoomMuteSchema, answers.DurableSchema),
    "member.add": CommandSpec("/chat", commands.MemberAddSchema, answers.AddedSchema),
    "member.remove": CommandSpec("/chat", commands.MemberRemoveSchema, answers.RemovedSchema),
    "member.update": CommandSpec("/chat", commands.MemberUpdateSchema, answers.ChangedMemberSchema),
    "member.list": CommandSpec("/chat", commands.MemberListSchema, answers.MembersSchema),
    "message.send": CommandSpec("/chat", commands.MessageSendSchema, answers.SentSchema),
    "message.edit": CommandSpec("/chat", commands.MessageEditSchema, answers.ChangedMessageSchema),
    "message.delete": CommandSpec(
        "/chat", commands.MessageDeleteSchema, answers.ChangedMessageSchema
    ),
    "message.react": CommandSpec(
        "/chat", commands.MessageReactSchema, answers.ChangedMessageSchema
    ),
    "message.get": CommandSpec("/chat", commands.MessageGetSchema, answers.OneMessageSchema),
    "message.list": CommandSpec("/chat", commands.MessageListSchema, answers.MessagesSchema),
    "upload.request": CommandSpec("/chat", commands.UploadRequestSchema, answers.GrantedSchema),
    "upload.complete": CommandSpec("/chat", commands.UploadCompleteSchema, answers.CompletedSchema),
    "upload.url": CommandSpec("/chat", commands.UploadUrlSchema, answers.LinkSchema),
    "sync": CommandSpec("/chat", commands.SyncSchema, answers.SyncedSchema),
    "receipt.read": CommandSpec("/receipts", commands.ReceiptReadSchema, answers.ReadSchema),
    "receipt.delivered": CommandSpec(
        "/receipts", commands.ReceiptDeliveredSchema, answers.EmptySchema
    ),
    "receipt.list": CommandSpec("/receipts", commands.RoomGetSchema, answers.ReceiptsSchema),
    "unread.get": CommandSpec("/receipts", commands.NothingSchema, answers.UnreadSchema),
    "unread.explain": CommandSpec("/receipts", commands.RoomGetSchema, answers.ExplainedSchema),
    "presence.set": CommandSpec("/presence", commands.PresenceSetSchema, answers.OnePresenceSchema),
    "presence.query": CommandSpec(
        "/presence", commands.PresenceQuerySchema, answers.PresencesSchema
    ),
    "presence.watch": CommandSpec(
        "/presence", commands.PresenceWatchSchema, answers.PresencesSchema
    ),
    "typing.start": CommandSpec("/presence", commands.RoomGetSchema, answers.EmptySchema),
    "typing.stop": CommandSpec("/presence", commands.RoomGetSchema, answers.EmptySchema),
}
"""The commands by name. `auth.refresh` is apart, because every namespace has it."""

REFRESH = CommandSpec("*", commands.AuthRefreshSchema, answers.RefreshedSchema)

EVENTS: dict[str, EventSpec] = {
    "session.ready": EventSpec("/chat", events.SessionReadySchema),
    "session.closing": EventSpec("/chat", events.SessionClosingSchema),
    "room.added": EventSpec("/chat", events.RoomAddedSchema),
    "room.removed": EventSpec("/chat", events.RoomRemovedSchema),
    "room.created": EventSpec("/chat", events.RoomChangedSchema, durable=True),
    "room.updated": EventSpec("/chat", events.RoomChangedSchema, durable=True),
    "room.epoch": EventSpec("/chat", events.RoomEpochSchema, durable=True),
    "room.state": EventSpec("/chat", events.RoomStateSchema),
    "member.added": EventSpec("/chat", events.MembersChangedSchema, durable=True),
    "member.removed": EventSpec("/chat", events.MembersChangedSchema, durable=True),
    "member.updated": EventSpec("/chat", events.MembersChangedSchema, durable=True),
    "message.new": EventSpec("/chat", events.MessageNewSchema, durable=True),
    "message.updated": EventSpec("/chat", events.MessageUpdatedSchema, durable=True),
    "message.deleted": EventSpec("/chat", events.MessageNewSchema, durable=True),
    "message.failed": EventSpec("/chat", events.MessageFailedSchema, durable=True),
    "message.status": EventSpec("/chat", events.MessageStatusSchema),
    "sync.reset": EventSpec("/chat", events.SyncResetSchema),
    "receipt.updated": EventSpec("/receipts", events.ReceiptUpdatedSchema),
    "unread.changed": EventSpec("/receipts", events.UnreadChangedSchema),
    "presence.changed": EventSpec("/presence", objects.PresenceSchema),
    "typing.changed": EventSpec("/presence", events.TypingChangedSchema),
}


def command(name: str) -> CommandSpec:
    """Return the command with a name. Raises KeyError."""
    return REFRESH if name == "auth.refresh" else COMMANDS[name]


def event_errors(event: dict[str, Any]) -> dict[str, Any]:
    """Return how an event deviates from the catalogue, by field; empty if it does not."""
    kind = EVENTS.get(event.get("type", ""))
    if kind is None:
        return {"type": ["Unknown."]}
    wrong: dict[str, Any] = kind.data().validate(event["data"])
    if kind.durable != ("offset" in event and "epoch" in event):
        wrong["offset"] = ["Durable events have a position, others have none."]
    return wrong


def answer_errors(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return how an ack deviates from the catalogue, by field; empty if it does not.

    A command that is not in the catalogue must have been refused.
    """
    if not answer["ok"]:
        return dict(ErrorSchema().validate(answer["error"]))
    if name != "auth.refresh" and name not in COMMANDS:
        return {name: ["Unknown."]}
    return dict(command(name).answer().validate(answer["data"]))
