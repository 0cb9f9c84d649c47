"""`/chat`: one short method per command. It returns the data of the ack or raises a Refusal."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from rts_server import errors, keys
from rts_server.domain.message import message_change
from rts_server.domain.roles import may_send
from rts_server.domain.room import RoomSettings, room_change
from rts_server.files.uploads import Uploads
from rts_server.namespaces.answer import Answer, PendingAnswer, command
from rts_server.namespaces.base import Namespace, NamespaceContext
from rts_server.namespaces.session import Session
from rts_server.namespaces.session_start import SessionStart
from rts_server.protocol import commands, cursor
from rts_server.realtime.listener import Listener
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.rooms.memberships import Memberships
from rts_server.rooms.messages import Messages
from rts_server.rooms.rooms import Rooms
from rts_server.types.commands import (
    MemberAddPayload,
    MemberListPayload,
    MemberRemovePayload,
    MemberUpdatePayload,
    MessageDeletePayload,
    MessageEditPayload,
    MessageGetPayload,
    MessageListPayload,
    MessageReactPayload,
    MessageSendPayload,
    RoomCreatePayload,
    RoomGetPayload,
    RoomHidePayload,
    RoomLeavePayload,
    RoomListPayload,
    RoomMutePayload,
    RoomUpdatePayload,
    SyncPayload,
    UploadCompletePayload,
    UploadRequestPayload,
    UploadUrlPayload,
)
from rts_server.types.events import MessageStatusData
from rts_server.types.objects import Room
from rts_server.views.history import History
from rts_server.views.member_list import MemberList
from rts_server.views.sync import SyncReader


@dataclass(frozen=True)
class ChatReads:
    """The read models that the commands use."""

    history: History
    members: MemberList
    sync: SyncReader


@dataclass(frozen=True)
class ChatWrites:
    """The domain commands that append to room logs, and what follows from them."""

    rooms: Rooms
    memberships: Memberships
    messages: Messages
    uploads: Uploads


class ChatNamespace(Namespace):
    """Rooms, members, messages and files. One method per command."""

    def __init__(
        self,
        context: NamespaceContext,
        *,
        session_start: SessionStart,
        writes: ChatWrites,
        reads: ChatReads,
    ) -> None:
        super().__init__("/chat", context)
        self._session_start = session_start
        self._rooms = writes.rooms
        self._memberships = writes.memberships
        self._messages = writes.messages
        self._uploads = writes.uploads
        self._history = reads.history
        self._members = reads.members
        self._sync = reads.sync
        self._listeners: dict[Session, Listener] = {}

    async def opened(self, session: Session) -> None:
        """Write session.ready, then the missed events of each room, then live events (D4)."""
        listener = Listener(
            session.user_id,
            session.out.write,
            session.out.write_droppable,
            self._connections.namespaces(session.eio_sid),
            self._connections.rooms(session.eio_sid),
            name=session.identity.name,
        )
        self._listeners[session] = listener
        await self._session_start.open(session, listener)

    def closed(self, session: Session) -> None:
        """Unsubscribe the session from everything."""
        if listener := self._listeners.pop(session, None):
            self._session_start.leave(listener)

    # Rooms

    @command("room.create", commands.RoomCreateSchema)
    async def room_create(self, session: Session, payload: RoomCreatePayload) -> Answer:
        """Create a room, or return the existing one with the same key.

        An `external_id` may be reserved to the operator. Then it is refused before any lookup, so
        that the answer does not reveal whether the room exists (A4).
        """
        if "external_id" in payload and self._settings.client_external_ids == "off":
            raise errors.Forbidden("Rooms of an external_id are made by the operator.")
        room_id, created, done = await self._rooms.create(session.identity, payload)
        room = await self._room_view(session, room_id)
        return _room_answer(room, done, {"created": created})

    @command("room.get", commands.RoomGetSchema)
    async def room_get(self, session: Session, payload: RoomGetPayload) -> Answer:
        """Return one room as the user sees it."""
        await self._require_member(session, payload["room_id"])
        return {"room": await self._room_view(session, payload["room_id"])}

    @command("room.list", commands.RoomListSchema)
    async def room_list(self, session: Session, payload: RoomListPayload) -> Answer:
        """Return a page of the user's rooms by last activity, and their unread totals."""
        return await self._inboxes.page(
            session.user_id, payload["limit"], payload.get("cursor"), hidden=payload["hidden"]
        )

    @command("room.update", commands.RoomUpdateSchema)
    async def room_update(self, session: Session, payload: RoomUpdatePayload) -> Answer:
        """Change name or metadata, or freeze: then only owners and admins may write."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        done = await self._rooms.update(
            room_id, session.user_id, room_change(payload), payload.get("version")
        )
        return _room_answer(await self._room_view(session, room_id), done)

    @command("room.leave", commands.RoomLeaveSchema)
    async def room_leave(self, session: Session, payload: RoomLeavePayload) -> Answer:
        """Leave a room. Idempotent: leaving a room one is not in succeeds."""
        room_id, user_id = payload["room_id"], session.user_id
        if await self._is_member(session, room_id):
            done = await self._memberships.leave(room_id, user_id, payload.get("new_owner"))
        else:
            done = self._memberships.already_left(room_id, user_id)
        return PendingAnswer({}, done.durability)

    @command("room.hide", commands.RoomHideSchema)
    async def room_hide(self, session: Session, payload: RoomHidePayload) -> Answer:
        """Hide a room from the user's list until somebody else sends a message."""
        settings: RoomSettings = {"hidden": payload["hidden"]}
        return await self._update_settings(session, payload["room_id"], settings)

    @command("room.mute", commands.RoomMuteSchema)
    async def room_mute(self, session: Session, payload: RoomMutePayload) -> Answer:
        """Leave a room out of the user's unread totals."""
        settings: RoomSettings = {"muted": payload["muted"]}
        return await self._update_settings(session, payload["room_id"], settings)

    async def _update_settings(
        self, session: Session, room_id: str, settings: RoomSettings
    ) -> Answer:
        await self._require_member(session, room_id)
        done = await self._rooms.change_settings(room_id, session.user_id, settings)
        return PendingAnswer({}, done.durability)

    # Members

    @command("member.add", commands.MemberAddSchema)
    async def member_add(self, session: Session, payload: MemberAddPayload) -> Answer:
        """Add users to a group; existing members are left as they are."""
        room_id, wanted = payload["room_id"], list(dict.fromkeys(payload["user_ids"]))
        await self._require_member(session, room_id)
        done = await self._memberships.add(room_id, session.user_id, wanted, payload["role"])
        added = set(done.affected("join"))
        named = await self._members.named(room_id, wanted, session.user_id)
        data = {"already": [user_id for user_id in wanted if user_id not in added]}
        return PendingAnswer(
            data, done.durability, position=lambda: {"members": done.ack_members(named)}
        )

    @command("member.remove", commands.MemberRemoveSchema)
    async def member_remove(self, session: Session, payload: MemberRemovePayload) -> Answer:
        """Remove users from a group; users who are not members are ignored."""
        room_id, wanted = payload["room_id"], list(dict.fromkeys(payload["user_ids"]))
        await self._require_member(session, room_id)
        done = await self._memberships.remove(room_id, session.user_id, wanted)
        return PendingAnswer({"removed": list(done.affected("go"))}, done.durability)

    @command("member.update", commands.MemberUpdateSchema)
    async def member_update(self, session: Session, payload: MemberUpdatePayload) -> Answer:
        """Change the role of a member."""
        room_id, user_id = payload["room_id"], payload["user_id"]
        await self._require_member(session, room_id)
        done = await self._memberships.set_role(room_id, session.user_id, user_id, payload["role"])
        members = await self._members.named(room_id, [user_id], session.user_id)
        if not members:
            raise errors.NotFound()
        return PendingAnswer({"member": members[0]}, done.durability)

    @command("member.list", commands.MemberListSchema)
    async def member_list(self, session: Session, payload: MemberListPayload) -> Answer:
        """Return a page of the members of a room, in order of user id."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        after = cursor.decode(payload["cursor"], str)[0] if "cursor" in payload else ""
        page, last = await self._members.page(room_id, after, payload["limit"], session.user_id)
        return {"members": page, "next_cursor": cursor.encode([last]) if last else None}

    # Messages

    @command("message.send", commands.MessageSendSchema)
    async def message_send(self, session: Session, payload: MessageSendPayload) -> Answer:
        """Send a message: delivered at once, `queued` when no single failure loses it (D1)."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        if payload.get("attachments"):
            done = await self._send_files(room_id, session.user_id, payload)
        else:
            done = await self._messages.send(room_id, session.user_id, payload)
        if done.appended.status == "failed":
            raise errors.NeverStored()
        data = {"message_id": done.request_id, "client_msg_id": payload["client_msg_id"]}
        late = self._status_update(session, room_id, payload["client_msg_id"], done)
        return PendingAnswer(data, done.durability, late, errors.NeverStored, done.ack_position)

    def _status_update(
        self, session: Session, room_id: str, client_msg_id: str, done: PendingWrite
    ) -> Callable[[str], Coroutine[Any, Any, None]]:
        """Return what sends `message.status` when a message acked `accepted` becomes `queued`.

        It is sent once, however often the client retried.
        """

        async def send_status(durability: str) -> None:
            if durability == "queued" and done.claim_status_event():
                status: MessageStatusData = {
                    "message_id": done.request_id,
                    "client_msg_id": client_msg_id,
                    "status": "queued",
                }
                self._messages.publish_status(room_id, session.user_id, status)

        return send_status

    async def _send_files(
        self, room_id: str, user_id: str, payload: MessageSendPayload
    ) -> PendingWrite:
        """Bind the files to the message, then append it.

        Binding comes first: a message must never refer to a file that another message took. If the
        files are bound to this very message already, this is a retry, and the append is looked up.
        """
        ids = payload["attachments"]
        message_id = keys.message_id(room_id, user_id, payload["client_msg_id"])
        cited = await self._uploads.bind(room_id, user_id, message_id, ids)
        if cited is None:
            return await self._messages.first_result(room_id, user_id, payload, ids)
        return await self._messages.send(room_id, user_id, payload, cited)

    @command("message.edit", commands.MessageEditSchema)
    async def message_edit(self, session: Session, payload: MessageEditPayload) -> Answer:
        """Edit one's own message."""
        room_id, message_id = payload["room_id"], payload["message_id"]
        await self._require_member(session, room_id)
        message, done = await self._messages.edit(
            room_id,
            session.user_id,
            message_id,
            message_change(payload),
            payload.get("version"),
        )
        return PendingAnswer({"message": message}, done.durability, position=done.ack_message)

    @command("message.delete", commands.MessageDeleteSchema)
    async def message_delete(self, session: Session, payload: MessageDeletePayload) -> Answer:
        """Delete one's own message, or any as an owner or admin."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        message, done = await self._messages.delete(room_id, session.user_id, payload["message_id"])
        return PendingAnswer({"message": message}, done.durability, position=done.ack_message)

    @command("message.react", commands.MessageReactSchema)
    async def message_react(self, session: Session, payload: MessageReactPayload) -> Answer:
        """Add or remove a reaction."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        message, done = await self._messages.react(
            room_id, session.user_id, payload["message_id"], payload["emoji"], on=payload["on"]
        )
        return PendingAnswer({"message": message}, done.durability, position=done.ack_message)

    @command("message.list", commands.MessageListSchema)
    async def message_list(self, session: Session, payload: MessageListPayload) -> Answer:
        """Return a page of history, ascending by seq."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        messages, more = await self._history.list_page(room_id, session.user_id, payload)
        return {"messages": messages, "has_more": more}

    @command("message.get", commands.MessageGetSchema)
    async def message_get(self, session: Session, payload: MessageGetPayload) -> Answer:
        """Return the newest version of one message."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        message = await self._history.message(room_id, session.user_id, payload["message_id"])
        return {"message": message}

    # Files

    @command("upload.request", commands.UploadRequestSchema)
    async def upload_request(self, session: Session, payload: UploadRequestPayload) -> Answer:
        """Return a presigned upload form for one file, to members who may send."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        room = await self._room_view(session, room_id)
        if not may_send(room["role"], frozen=room["frozen"]):
            raise errors.Forbidden()
        return await self._uploads.request(room_id, session.user_id, payload)

    @command("upload.complete", commands.UploadCompleteSchema)
    async def upload_complete(self, session: Session, payload: UploadCompletePayload) -> Answer:
        """Verify an uploaded file, so that a message can attach it."""
        room_id = payload["room_id"]
        await self._require_member(session, room_id)
        done = await self._uploads.complete(room_id, session.user_id, payload["attachment_id"])
        return {"attachment": done}

    @command("upload.url", commands.UploadUrlSchema)
    async def upload_url(self, session: Session, payload: UploadUrlPayload) -> Answer:
        """Return a download URL for a file of a message, to current members only (A6)."""
        room_id, attachment_id = payload["room_id"], payload["attachment_id"]
        await self._require_member(session, room_id)
        message = await self._history.message(room_id, session.user_id, payload["message_id"])
        for attachment in message["attachments"]:
            if attachment["attachment_id"] == attachment_id:
                return await self._uploads.download_url(room_id, attachment)
        raise errors.NotFound()

    @command("sync", commands.SyncSchema)
    async def sync(self, session: Session, payload: SyncPayload) -> Answer:
        """Return the events after the cursors, from the hot log."""
        cursors = {room_id: (c[0], c[1]) for room_id, c in payload["cursors"].items()}
        return {"rooms": await self._sync.events_since(session.user_id, cursors)}

    # Shared by several commands

    async def _room_view(self, session: Session, room_id: str) -> Room:
        shown = await self._inboxes.read_room(session.user_id, room_id, self._rooms.load_if_cold)
        if not shown.rows:
            raise errors.NotFound()
        return (await self._inboxes.with_member_counts(shown.rows))[0]


def _room_answer(
    room: Room, done: PendingWrite, more: Mapping[str, object] | None = None
) -> PendingAnswer:
    """Answer with a room after a change of it, and with the fields of `more`.

    The position is read when the ack is written, not at the append: after a loss of Redis the
    append stands elsewhere (D4).
    """
    data = {"room": room, **(more or {})}
    return PendingAnswer(data, done.durability, position=lambda: {"room": done.ack_room(room)})
