"""The wire in one table: every command with its payload and answer, every event with its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import Schema

from rts_server.protocol import answers, commands, events, objects
from rts_server.protocol.objects import Error


@dataclass(frozen=True)
class Command:
    """A command of a client: what it says, and the data of its ack."""

    namespace: str
    payload: type[commands.Command]
    answer: type[Schema]


@dataclass(frozen=True)
class Event:
    """An event of the server. A durable one has epoch and offset."""

    namespace: str
    data: type[Schema]
    durable: bool = False


COMMANDS: dict[str, Command] = {
    "room.create": Command("/chat", commands.RoomCreate, answers.Created),
    "room.get": Command("/chat", commands.RoomGet, answers.OneRoom),
    "room.list": Command("/chat", commands.RoomList, answers.Rooms),
    "room.update": Command("/chat", commands.RoomUpdate, answers.ChangedRoom),
    "room.leave": Command("/chat", commands.RoomLeave, answers.Durable),
    "room.hide": Command("/chat", commands.RoomHide, answers.Durable),
    "room.mute": Command("/chat", commands.RoomMute, answers.Durable),
    "member.add": Command("/chat", commands.MemberAdd, answers.Added),
    "member.remove": Command("/chat", commands.MemberRemove, answers.Removed),
    "member.update": Command("/chat", commands.MemberUpdate, answers.ChangedMember),
    "member.list": Command("/chat", commands.MemberList, answers.Members),
    "message.send": Command("/chat", commands.MessageSend, answers.Sent),
    "message.edit": Command("/chat", commands.MessageEdit, answers.ChangedMessage),
    "message.delete": Command("/chat", commands.MessageDelete, answers.ChangedMessage),
    "message.react": Command("/chat", commands.MessageReact, answers.ChangedMessage),
    "message.get": Command("/chat", commands.MessageGet, answers.OneMessage),
    "message.list": Command("/chat", commands.MessageList, answers.Messages),
    "upload.request": Command("/chat", commands.UploadRequest, answers.Granted),
    "upload.complete": Command("/chat", commands.UploadComplete, answers.Completed),
    "upload.url": Command("/chat", commands.UploadUrl, answers.Link),
    "sync": Command("/chat", commands.Sync, answers.Synced),
    "receipt.read": Command("/receipts", commands.ReceiptRead, answers.Read),
    "receipt.delivered": Command("/receipts", commands.ReceiptDelivered, answers.Empty),
    "receipt.list": Command("/receipts", commands.RoomGet, answers.Receipts),
    "unread.get": Command("/receipts", commands.Nothing, answers.Unread),
    "unread.explain": Command("/receipts", commands.RoomGet, answers.Explained),
    "presence.set": Command("/presence", commands.PresenceSet, answers.OnePresence),
    "presence.query": Command("/presence", commands.PresenceQuery, answers.Presences),
    "presence.watch": Command("/presence", commands.PresenceWatch, answers.Presences),
    "typing.start": Command("/presence", commands.RoomGet, answers.Empty),
    "typing.stop": Command("/presence", commands.RoomGet, answers.Empty),
}
"""`auth.refresh` belongs to every namespace."""

REFRESH = Command("*", commands.AuthRefresh, answers.Refreshed)

EVENTS: dict[str, Event] = {
    "session.ready": Event("/chat", events.SessionReady),
    "session.closing": Event("/chat", events.SessionClosing),
    "room.added": Event("/chat", events.RoomAdded),
    "room.removed": Event("/chat", events.RoomRemoved),
    "room.created": Event("/chat", events.RoomChanged, durable=True),
    "room.updated": Event("/chat", events.RoomChanged, durable=True),
    "room.epoch": Event("/chat", events.RoomEpoch, durable=True),
    "room.state": Event("/chat", events.RoomState),
    "member.added": Event("/chat", events.MembersChanged, durable=True),
    "member.removed": Event("/chat", events.MembersChanged, durable=True),
    "member.updated": Event("/chat", events.MembersChanged, durable=True),
    "message.new": Event("/chat", events.MessageNew, durable=True),
    "message.updated": Event("/chat", events.MessageUpdated, durable=True),
    "message.deleted": Event("/chat", events.MessageNew, durable=True),
    "message.failed": Event("/chat", events.MessageFailed, durable=True),
    "message.status": Event("/chat", events.MessageStatus),
    "sync.reset": Event("/chat", events.SyncReset),
    "receipt.updated": Event("/receipts", events.ReceiptUpdated),
    "unread.changed": Event("/receipts", events.UnreadChanged),
    "presence.changed": Event("/presence", objects.Presence),
    "typing.changed": Event("/presence", events.TypingChanged),
}


def command(name: str) -> Command:
    """The command of a name. Raises KeyError."""
    return REFRESH if name == "auth.refresh" else COMMANDS[name]


def wrong_event(event: dict[str, Any]) -> dict[str, Any]:
    """What of an event is not as the catalogue says; empty when all is."""
    kind = EVENTS.get(event.get("type", ""))
    if kind is None:
        return {"type": ["Unknown."]}
    wrong: dict[str, Any] = kind.data().validate(event["data"])
    if kind.durable != ("offset" in event and "epoch" in event):
        wrong["offset"] = ["Just durable events have a position."]
    return wrong


def wrong_answer(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What of an ack is not as the catalogue says; a name it does not have can only be refused."""
    if not answer["ok"]:
        return dict(Error().validate(answer["error"]))
    if name != "auth.refresh" and name not in COMMANDS:
        return {name: ["Unknown."]}
    return dict(command(name).answer().validate(answer["data"]))
