"""A history made by hand in which all guarantees hold; tests of the checker spoil it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.nemesis.checks import check
from tests.nemesis.recorder import (
    Command,
    Final,
    Heard,
    History,
    Json,
    Position,
    Session,
    Violation,
)

ROOM = "r"


def message(seq: int, text: str = "", epoch: int = 1, **more: Any) -> Json:
    """A message as history shows it, with ids from its text."""
    text = text or f"t{seq}"
    plain: Json = {
        "room_id": ROOM,
        "sender_id": "alice",
        "type": "text",
        "version": 1,
        "reactions": {},
    }
    ids = {"message_id": f"m-{text}", "client_msg_id": f"c-{text}"}
    return plain | ids | {"seq": seq, "epoch": epoch, "text": text} | more


@dataclass
class Tale:
    """A good history: alice sends three messages on web0, bob hears them on web1."""

    history: History = field(default_factory=History)
    final: Final = field(default_factory=Final)
    clock: float = 0.0

    def __post_init__(self) -> None:
        self.alice = self.session("alice0", "alice", 0)
        self.bob = self.session("bob1", "bob", 1)
        self.messages = [message(seq) for seq in (1, 2, 3)]
        for one in self.messages:
            self.send(one)
        for instance in (0, 1):
            self.final.histories[ROOM, instance] = [dict(one) for one in self.messages]
            for user, read in (("alice", 3), ("bob", 0)):
                self.final.rooms[ROOM, user, instance] = {
                    "epoch": 1, "offset": 4, "seq": 3, "unread": 3 - read,
                    "read_seq": read, "delivered_seq": read,
                }  # fmt: skip
        self.final.members[ROOM] = {"alice", "bob"}
        self.final.stored[ROOM] = [one["message_id"] for one in self.messages]
        held = {one["message_id"]: dict(one) for one in self.messages}
        self.final.held["bob1", ROOM] = ((1, 4), held)

    def tick(self) -> float:
        self.clock += 0.1
        return self.clock

    def session(self, device: str, user: str, instance: int, **cursors: list[int]) -> Session:
        made = Session(len(self.history.sessions), device, user, instance, self.tick(), cursors)
        self.history.sessions.append(made)
        return made

    def say(self, session: Session, event: str, data: Json, answer: Json | None) -> Command:
        made = Command(session, event, {"room_id": ROOM} | data, self.tick())
        if answer is not None:
            made.answers.append((self.tick(), answer))
        self.history.commands.append(made)
        return made

    def send(self, one: Json, status: str = "queued", **more: Any) -> Command:
        at = (one["epoch"], one["seq"] + 1)
        data = {"client_msg_id": one["client_msg_id"], "text": one["text"]}
        names = ("message_id", "client_msg_id", "seq", "epoch")
        told = {name: one[name] for name in names} | {"status": status} | more
        command = self.say(self.alice, "message.send", data, {"ok": True, "data": told})
        for session in (self.alice, self.bob):
            self.hear(session, "message.new", at, message=dict(one))
        return command

    def hear(self, session: Session, kind: str, at: Position | None, **data: Any) -> Heard:
        event: Json = {"type": kind, "room_id": ROOM, "data": data}
        event |= {"epoch": at[0], "offset": at[1]} if at else {}
        self.history.heard.append(made := Heard(session, self.tick(), event))
        return made

    def stored(self, *messages: Json) -> None:
        """Make history, on both instances and in the table, consist of these messages."""
        for key in self.final.histories:
            self.final.histories[key] = [dict(one) for one in messages]
        self.final.stored[ROOM] = [one["message_id"] for one in messages]
        self.final.held.clear()
        self.final.rooms.clear()

    def ask(self, event: str, data: Json, code: str = "", **told: Any) -> Command:
        answer = {"ok": False, "error": {"code": code}} if code else {"ok": True, "data": told}
        return self.say(self.alice, event, data, answer)

    def violations(self) -> list[Violation]:
        return check(self.history, self.final)
