"""The rates that commands are charged to."""

from __future__ import annotations

from rts_server.auth import Identity
from rts_server.engine.outgoing import OutgoingQueue
from rts_server.namespaces.charges import charges
from rts_server.namespaces.session import Session


def rates(name: str, *heard: str) -> set[str]:
    """The rates charged for a command on room `r`, by a connection in the given rooms."""
    identity = Identity("alice", 0)
    session = Session("sid", "eio", identity, {}, {}, "session", OutgoingQueue())
    return {charge.rate for charge in charges(name, session, {"room_id": "r"}, set(heard))}


def test_a_room_is_charged_by_its_members_only() -> None:
    """A stranger neither uses up the rate of a room nor learns whether it is busy."""
    for name, of_user in (("message.send", "messages"), ("message.react", "changes")):
        assert rates(name, "r") == {of_user, "room"}
        assert rates(name, "other") == {of_user}


def test_every_user_id_in_a_command_is_charged() -> None:
    """A hundred named users cost a hundred, in every command."""
    session = Session("sid", "eio", Identity("alice", 0), {}, {}, "session", OutgoingQueue())
    named = [f"u{n}" for n in range(100)]
    for name, field in (
        ("room.create", "members"),
        ("member.add", "user_ids"),
        ("member.remove", "user_ids"),
    ):
        found = {one.rate: one.cost for one in charges(name, session, {field: named}, set())}
        assert found["members"] == 100
