"""`/chat`: one short method per command. The return value is the ack, a Refusal the refusal."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from rts_server import errors, keys
from rts_server.adapter.listener import Listener
from rts_server.config import Settings
from rts_server.engine.server import Server
from rts_server.files.uploads import Uploads
from rts_server.namespaces.answer import Answer, Durable, command
from rts_server.namespaces.base import Namespace
from rts_server.namespaces.connections import Connections
from rts_server.namespaces.greeting import Greeting
from rts_server.namespaces.session import Session
from rts_server.protocol import commands, cursor
from rts_server.rooms.appends import Done
from rts_server.rooms.chatlist import ChatLists
from rts_server.rooms.history import History
from rts_server.rooms.members import Members
from rts_server.rooms.memberships import Memberships
from rts_server.rooms.messages import Messages
from rts_server.rooms.roles import may_send
from rts_server.rooms.rooms import Rooms
from rts_server.rooms.sync import Sync
from rts_server.rooms.unread import Unread

NEVER_STORED = errors.NeverStored()
NOT_THE_CLIENTS = errors.Forbidden("Rooms of an external_id are made by the operator.")


@dataclass(frozen=True)
class Reads:
    """What the commands read."""

    chat_lists: ChatLists
    history: History
    members: Members
    sync: Sync


@dataclass(frozen=True)
class Writes:
    """What the commands append."""

    rooms: Rooms
    memberships: Memberships
    messages: Messages
    unread: Unread
    uploads: Uploads


class Chat(Namespace):
    """Rooms, members and messages."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        connections: Connections,
        greeting: Greeting,
        writes: Writes,
        reads: Reads,
    ) -> None:
        super().__init__("/chat", settings, server, connections, reads.chat_lists)
        self._greeting = greeting
        self._rooms = writes.rooms
        self._memberships = writes.memberships
        self._messages = writes.messages
        self._unread = writes.unread
        self._uploads = writes.uploads
        self._history = reads.history
        self._members = reads.members
        self._sync = reads.sync
        self._listeners: dict[Session, Listener] = {}

    async def opened(self, session: Session) -> None:
        """session.ready, what was missed, then live; all rooms of the user at once."""
        listener = Listener(
            session.user_id,
            session.out.write,
            session.out.spare,
            self._connections.namespaces(session.eio_sid),
            self._connections.rooms(session.eio_sid),
        )
        self._listeners[session] = listener
        await self._greeting.open(session, listener)

    def closed(self, session: Session) -> None:
        """Nothing of the session is left behind."""
        if listener := self._listeners.pop(session, None):
            self._greeting.leave(listener)

    # Rooms

    @command("room.create", commands.RoomCreate)
    async def room_create(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Create a room, or get the one that is there under the same key.

        Business keys are the operator's: refused before anything is looked up, so that the answer
        tells nothing.
        """
        if "external_id" in asked and self._settings.client_external_ids == "off":
            raise NOT_THE_CLIENTS
        room_id, created, done = await self._rooms.create(session.identity, asked)
        room = await self._shown(session, room_id)
        return _of_room(room, done, {"created": created})

    @command("room.get", commands.RoomGet)
    async def room_get(self, session: Session, asked: dict[str, Any]) -> Answer:
        """One room, as it is to the user."""
        await self._must_be_in(session, asked["room_id"])
        return {"room": await self._shown(session, asked["room_id"])}

    @command("room.list", commands.RoomList)
    async def room_list(self, session: Session, asked: dict[str, Any]) -> Answer:
        """The rooms of the user by last activity, and his totals."""
        return await self._chat_lists.page(
            session.user_id, asked["limit"], asked.get("cursor"), hidden=asked["hidden"]
        )

    @command("room.update", commands.RoomUpdate)
    async def room_update(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Another name or metadata, or frozen: then only owners and admins write."""
        room_id = asked.pop("room_id")
        await self._must_be_in(session, room_id)
        done = await self._rooms.update(room_id, session.user_id, asked)
        return _of_room(await self._shown(session, room_id), done)

    @command("room.leave", commands.RoomLeave)
    async def room_leave(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Go by oneself; who is in no such room has left it."""
        room_id, user_id = asked["room_id"], session.user_id
        if await self._is_in(session, room_id):
            done = await self._memberships.leave(room_id, user_id, asked.get("new_owner"))
        else:
            done = self._memberships.left(room_id, user_id)
        return Durable({}, done.fate)

    @command("room.hide", commands.RoomHide)
    async def room_hide(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Leave the room out of one's list until a new message of another."""
        return await self._set(session, asked.pop("room_id"), asked)

    @command("room.mute", commands.RoomMute)
    async def room_mute(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Leave the room out of one's totals."""
        return await self._set(session, asked.pop("room_id"), asked)

    async def _set(self, session: Session, room_id: str, settings: dict[str, bool]) -> Answer:
        await self._must_be_in(session, room_id)
        done = await self._rooms.set(room_id, session.user_id, settings)
        self._unread.tell_soon(session.user_id, room_id)
        return Durable({}, done.fate)

    # Members

    @command("member.add", commands.MemberAdd)
    async def member_add(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Add users to a group; those who are members already stay as they are."""
        room_id, wanted = asked["room_id"], list(dict.fromkeys(asked["user_ids"]))
        await self._must_be_in(session, room_id)
        done = await self._memberships.add(room_id, session.user_id, wanted, asked["role"])
        added = set(done.picked("join"))
        members = await self._members.all(room_id, session.user_id)
        data = {
            "members": [member for member in members if member["user_id"] in wanted],
            "already": [user_id for user_id in wanted if user_id not in added],
        }
        return Durable(data, done.fate)

    @command("member.remove", commands.MemberRemove)
    async def member_remove(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Remove users from a group; those who are no members are passed over."""
        room_id, wanted = asked["room_id"], list(dict.fromkeys(asked["user_ids"]))
        await self._must_be_in(session, room_id)
        done = await self._memberships.remove(room_id, session.user_id, wanted)
        return Durable({"removed": list(done.picked("go"))}, done.fate)

    @command("member.update", commands.MemberUpdate)
    async def member_update(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Another role for a member."""
        room_id, user_id = asked["room_id"], asked["user_id"]
        await self._must_be_in(session, room_id)
        done = await self._memberships.give(room_id, session.user_id, user_id, asked["role"])
        members = await self._members.all(room_id, session.user_id)
        member = next((one for one in members if one["user_id"] == user_id), None)
        if member is None:
            raise errors.NotFound()
        return Durable({"member": member}, done.fate)

    @command("member.list", commands.MemberList)
    async def member_list(self, session: Session, asked: dict[str, Any]) -> Answer:
        """The members of a room, in order of user id."""
        await self._must_be_in(session, asked["room_id"])
        after = cursor.decode(asked["cursor"], str)[0] if "cursor" in asked else ""
        members = await self._members.all(asked["room_id"], session.user_id)
        return cursor.page(members, "members", "user_id", after, asked["limit"])

    # Messages

    @command("message.send", commands.MessageSend)
    async def message_send(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Send a message: heard at once, `queued` when no single failure can lose it."""
        room_id = asked["room_id"]
        await self._must_be_in(session, room_id)
        send = self._send_files if asked.get("attachments") else self._messages.send
        done = await send(room_id, session.user_id, asked)
        appended = done.appended
        assert appended is not None
        if appended.status == "failed":
            raise NEVER_STORED
        moved = (session.user_id, *appended.unhid) if appended.read_on else appended.unhid
        for user_id in moved:
            self._unread.tell_soon(user_id, room_id)
        data = {"message_id": done.request_id, "client_msg_id": asked["client_msg_id"]}
        late = self._late(session, room_id, data, done)
        return Durable(data, done.fate, late, NEVER_STORED, done.shown)

    def _late(
        self, session: Session, room_id: str, data: dict[str, Any], done: Done
    ) -> Callable[[str], Coroutine[Any, Any, None]]:
        """`message.status` once what was acked `accepted` is queued; once, however often sent."""

        async def tell(fate: str) -> None:
            if fate == "queued" and done.tells():
                status = data | {"status": fate}
                self._messages.tell_sender(room_id, session.user_id, status)

        return tell

    async def _send_files(self, room_id: str, user_id: str, asked: dict[str, Any]) -> Done:
        """Appended, its files bound to it before; or found, when they went with it since."""
        ids = asked["attachments"]
        message_id = keys.message_id(room_id, user_id, asked["client_msg_id"])
        cited = await self._uploads.cite(room_id, user_id, message_id, ids)
        if cited is None:
            named = [{"attachment_id": one} for one in ids]
            return await self._messages.repeat(room_id, user_id, asked | {"attachments": named})
        return await self._messages.send(room_id, user_id, asked | {"attachments": cited})

    @command("message.edit", commands.MessageEdit)
    async def message_edit(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Change one's own message."""
        room_id, message_id = asked.pop("room_id"), asked.pop("message_id")
        await self._must_be_in(session, room_id)
        message, done = await self._messages.edit(room_id, session.user_id, message_id, asked)
        return Durable({"message": message}, done.fate, place=done.changed)

    @command("message.delete", commands.MessageDelete)
    async def message_delete(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Delete one's own message, or as owner or admin any."""
        room_id = asked["room_id"]
        await self._must_be_in(session, room_id)
        message, done = await self._messages.delete(room_id, session.user_id, asked["message_id"])
        return Durable({"message": message}, done.fate, place=done.changed)

    @command("message.react", commands.MessageReact)
    async def message_react(self, session: Session, asked: dict[str, Any]) -> Answer:
        """A reaction comes or goes."""
        room_id = asked["room_id"]
        await self._must_be_in(session, room_id)
        message, done = await self._messages.react(
            room_id, session.user_id, asked["message_id"], asked["emoji"], on=asked["on"]
        )
        return Durable({"message": message}, done.fate, place=done.changed)

    @command("message.list", commands.MessageList)
    async def message_list(self, session: Session, asked: dict[str, Any]) -> Answer:
        """A page of history, ascending by seq."""
        room_id = asked["room_id"]
        await self._must_be_in(session, room_id)
        messages, more = await self._history.asked(room_id, session.user_id, asked)
        return {"messages": messages, "has_more": more}

    @command("message.get", commands.MessageGet)
    async def message_get(self, session: Session, asked: dict[str, Any]) -> Answer:
        """One message in its newest state."""
        room_id = asked["room_id"]
        await self._must_be_in(session, room_id)
        message = await self._history.message(room_id, session.user_id, asked["message_id"])
        return {"message": message}

    # Files

    @command("upload.request", commands.UploadRequest)
    async def upload_request(self, session: Session, asked: dict[str, Any]) -> Answer:
        """A signed form for one file, for who may write in the room."""
        room_id = asked.pop("room_id")
        await self._must_be_in(session, room_id)
        room = await self._shown(session, room_id)
        if not may_send(room["role"], frozen=room["frozen"]):
            raise errors.Forbidden()
        return await self._uploads.request(room_id, session.user_id, asked)

    @command("upload.complete", commands.UploadComplete)
    async def upload_complete(self, session: Session, asked: dict[str, Any]) -> Answer:
        """The file is there: it is verified, and can be cited in a message."""
        room_id = asked["room_id"]
        await self._must_be_in(session, room_id)
        done = await self._uploads.complete(room_id, session.user_id, asked["attachment_id"])
        return {"attachment": done}

    @command("upload.url", commands.UploadUrl)
    async def upload_url(self, session: Session, asked: dict[str, Any]) -> Answer:
        """Where to download a file of a message, for who is a member now."""
        room_id, attachment_id = asked["room_id"], asked["attachment_id"]
        await self._must_be_in(session, room_id)
        message = await self._history.message(room_id, session.user_id, asked["message_id"])
        for attachment in message["attachments"]:
            if attachment["attachment_id"] == attachment_id:
                return await self._uploads.link(room_id, attachment)
        raise errors.NotFound()

    @command("sync", commands.Sync)
    async def sync(self, session: Session, asked: dict[str, Any]) -> Answer:
        """What was missed since the cursors, from the hot log."""
        cursors = {room_id: (c[0], c[1]) for room_id, c in asked["cursors"].items()}
        return {"rooms": await self._sync.since(session.user_id, cursors)}

    # What several commands need

    async def _shown(self, session: Session, room_id: str) -> dict[str, Any]:
        shown = await self._chat_lists.room(session.user_id, room_id, self._rooms.warm)
        if not shown.rows:
            raise errors.NotFound()
        return (await self._chat_lists.counted(shown.rows))[0]


def _of_room(room: dict[str, Any], done: Done, more: dict[str, Any] | None = None) -> Durable:
    """A room behind a change of it; `more` stands beside."""
    data = {"room": room, **(more or {})}
    return Durable(data, done.fate, place=lambda: {"room": done.placed(room)})
