"""A chat in memory: the outcome of every command, and every user's view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rts_server.domain.roles import Role, roles_that, roles_that_grant

LEADERS = ("owner", "admin")
Outcome = str
"""`ok`, or the code of the refusal."""


@dataclass
class Seat:
    """A member."""

    role: str
    read: int
    delivered: int
    muted: bool = False
    hidden: bool = False


@dataclass
class Message:
    """A message in its newest state."""

    seq: int
    sender: str
    text: str
    system: bool = False
    deleted: bool = False
    reactions: set[tuple[str, str]] = field(default_factory=set)

    def shown(self) -> dict[str, Any]:
        """Return the message as history shows it."""
        reactions: dict[str, set[str]] = {}
        for emoji, user in self.reactions:
            reactions.setdefault(emoji, set()).add(user)
        return {
            "seq": self.seq,
            "sender": self.sender,
            "text": self.text,
            "deleted": self.deleted,
            "reactions": reactions,
        }


@dataclass
class Room:
    """A room. Methods return an outcome and change nothing unless it is `ok`."""

    direct: bool
    seats: dict[str, Seat]
    name: str | None = None
    frozen: bool = False
    messages: list[Message] = field(default_factory=list)

    @property
    def seq(self) -> int:
        """Return the last seq."""
        return len(self.messages)

    def refused(self, user: str, needs: frozenset[str], *, group: bool = False) -> Outcome | None:
        """Return the code with which any command of this user is refused, if any."""
        seat = self.seats.get(user)
        if seat is None:
            return "not_found"
        if group and self.direct:
            return "conflict"
        if seat.role not in needs:
            return "forbidden"
        return "forbidden" if self.frozen and seat.role not in LEADERS else None

    def send(self, user: str, text: str) -> Outcome:
        if refused := self.refused(user, roles_that("message.send")):
            return refused
        self.messages.append(Message(self.seq + 1, user, text))
        self.seats[user].read = self.seats[user].delivered = self.seq
        for other, seat in self.seats.items():
            seat.hidden = seat.hidden and other == user
        return "ok"

    def edit(self, user: str, seq: int, text: str) -> Outcome:
        message = self.messages[seq - 1]
        if user not in self.seats:
            return "not_found"
        if message.sender != user or message.system:
            return "forbidden"
        if message.deleted:
            return "gone"
        if message.text == text:
            return "ok"
        if refused := self.refused(user, roles_that("message.edit")):
            return refused
        message.text = text
        return "ok"

    def delete(self, user: str, seq: int) -> Outcome:
        message = self.messages[seq - 1]
        if user not in self.seats:
            return "not_found"
        if message.deleted:
            return "ok"
        needs = "message.delete" if message.sender == user else "message.delete_any"
        if refused := self.refused(user, roles_that(needs)):
            return refused
        message.text, message.deleted, message.reactions = "", True, set()
        return "ok"

    def react(self, user: str, seq: int, emoji: str, on: bool) -> Outcome:
        message = self.messages[seq - 1]
        if user not in self.seats:
            return "not_found"
        if message.deleted:
            return "gone"
        if ((emoji, user) in message.reactions) == on:
            return "ok"
        if refused := self.refused(user, roles_that("message.react")):
            return refused
        (message.reactions.add if on else message.reactions.discard)((emoji, user))
        return "ok"

    def read(self, user: str, seq: int) -> Outcome:
        if user not in self.seats:
            return "not_found"
        seat = self.seats[user]
        seat.read = max(seat.read, min(seq, self.seq))
        seat.delivered = max(seat.delivered, seat.read)
        return "ok"

    def deliver(self, user: str, seq: int) -> Outcome:
        if user in self.seats:
            seat = self.seats[user]
            seat.delivered = max(seat.delivered, min(seq, self.seq))
        return "ok"

    def change_setting(self, user: str, name: str, value: bool) -> Outcome:
        if user not in self.seats:
            return "not_found"
        setattr(self.seats[user], name, value)
        return "ok"

    def update(self, user: str, **change: Any) -> Outcome:
        if user not in self.seats:
            return "not_found"
        if all(getattr(self, name) == value for name, value in change.items()):
            return "ok"
        if refused := self.refused(user, roles_that("room.update")):
            return refused
        for name, value in change.items():
            setattr(self, name, value)
        self._line(user)
        return "ok"

    def add(self, actor: str, user: str, role: Role) -> Outcome:
        if refused := self.refused(actor, roles_that_grant(role), group=True):
            return refused
        if user not in self.seats:
            self.seats[user] = Seat(role, self.seq, self.seq)
            self._line(actor)
        return "ok"

    def remove(self, actor: str, user: str) -> Outcome:
        if refused := self.refused(actor, roles_that("member.remove"), group=True):
            return refused
        if user not in self.seats:
            return "ok"
        if self.seats[user].role == "owner" and self.seats[actor].role != "owner":
            return "forbidden"
        return self._go(actor, user)

    def set_role(self, actor: str, user: str, role: str) -> Outcome:
        if refused := self.refused(actor, roles_that("member.update"), group=True):
            return refused
        if user not in self.seats:
            return "not_found"
        was = self.seats[user].role
        if was == role:
            return "ok"
        if "owner" in (was, role) and self.seats[actor].role != "owner":
            return "forbidden"
        if was == "owner" and self._owners() == 1:
            return "conflict"
        self.seats[user].role = role
        self._line(actor)
        return "ok"

    def leave(self, user: str) -> Outcome:
        if user not in self.seats:
            return "ok"
        return "conflict" if self.direct else self._go(user, user)

    def unread(self, user: str) -> int:
        """Return the unread count: seq − read_seq − later messages that do not count."""
        behind = self.messages[self.seats[user].read :]
        return sum(not (message.deleted or message.system) for message in behind)

    def _go(self, actor: str, user: str) -> Outcome:
        last = self.seats[user].role == "owner" and self._owners() == 1
        if last and len(self.seats) > 1:
            return "conflict"
        del self.seats[user]
        self._line(actor)
        return "ok"

    def _owners(self) -> int:
        return sum(seat.role == "owner" for seat in self.seats.values())

    def _line(self, actor: str) -> None:
        self.messages.append(Message(self.seq + 1, actor, "", system=True))


class Chat:
    """All rooms, by names that the test chooses."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    def direct(self, user: str, other: str) -> str:
        """Get or create the direct room of a pair."""
        key = "+".join(sorted((user, other)))
        seats = {one: Seat("member", 0, 0) for one in (user, other)}
        self.rooms.setdefault(key, Room(True, seats))
        return key

    def group(self, user: str, key: str, members: list[str]) -> tuple[str, Outcome]:
        """Get or create the group of a key."""
        room = self.rooms.get(key)
        if room is not None:
            return key, "ok" if user in room.seats else "not_found"
        others = [member for member in members if member != user]
        seats = {user: Seat("owner", 0, 0)} | {one: Seat("member", 0, 0) for one in others}
        self.rooms[key] = Room(False, seats)
        return key, "ok"

    def listed(self, user: str) -> dict[str, dict[str, Any]]:
        """Return the user's rooms as room.list shows them, hidden ones included."""
        return {
            key: {
                "role": room.seats[user].role,
                "name": room.name,
                "frozen": room.frozen,
                "seq": room.seq,
                "members": len(room.seats),
                "read": room.seats[user].read,
                "delivered": room.seats[user].delivered,
                "unread": room.unread(user),
                "muted": room.seats[user].muted,
                "hidden": room.seats[user].hidden,
            }
            for key, room in self.rooms.items()
            if user in room.seats
        }

    def totals(self, user: str) -> dict[str, int]:
        """Return the unread totals of rooms that are neither muted nor hidden."""
        counts = [
            one["unread"]
            for one in self.listed(user).values()
            if not (one["muted"] or one["hidden"])
        ]
        return {"total": sum(counts), "rooms": sum(count > 0 for count in counts)}
