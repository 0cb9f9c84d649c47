"""The checker finds each violation in a history made by hand, and none in a correct one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.nemesis.checks.answers import own_writes_are_read
from tests.nemesis.recorder import (
    Final,
    Heard,
    Trouble,
)
from tests.nemesis.report import report
from tests.nemesis.tale import ROOM, Tale, message


def lost(tale: Tale) -> None:
    tale.stored(*tale.messages[:2])
    tale.history.heard.clear()


def twice(tale: Tale) -> None:
    tale.stored(*tale.messages, tale.messages[2] | {"seq": 4, "message_id": "other"})


def unstored(tale: Tale) -> None:
    tale.final.stored[ROOM].pop()


def only_received(tale: Tale) -> None:
    tale.hear(tale.bob, "message.new", (1, 5), message=message(4))
    tale.final.held.clear()
    tale.final.rooms.clear()


def another_id(tale: Tale) -> None:
    tale.send(tale.messages[2] | {"message_id": "m-other"}, duplicate=True)
    del tale.history.heard[-2:]


def no_duplicate(tale: Tale) -> None:
    tale.send(tale.messages[2])
    del tale.history.heard[-2:]


def old_edit(tale: Tale) -> None:
    for text in ("second", "third"):
        tale.ask("message.edit", {"message_id": "m-t1", "text": text}, status="queued")
    tale.stored(tale.messages[0] | {"text": "second", "version": 3}, *tale.messages[1:])


def not_deleted(tale: Tale) -> None:
    tale.ask("message.delete", {"message_id": "m-t1"}, status="queued")


def reaction_lost(tale: Tale) -> None:
    asked = {"message_id": "m-t1", "emoji": "+", "on": True}
    tale.ask("message.react", asked, status="queued")


def moved(tale: Tale) -> None:
    one, two, three = tale.messages
    tale.stored(one, two, three | {"seq": 4})


def half_sync(tale: Tale) -> None:
    events = [heard.event for heard in tale.history.heard if heard.session is tale.bob]
    told = {"recovered": True, "events": events[1:], "epoch": 1, "offset": 4, "has_more": False}
    tale.ask("sync", {"cursors": {ROOM: [1, 1]}}, rooms={ROOM: told})


def sync_ends_early(tale: Tale) -> None:
    told = {"recovered": True, "events": [], "epoch": 1, "offset": 4, "has_more": False}
    tale.ask("sync", {"cursors": {ROOM: [1, 3]}}, rooms={ROOM: told})


def version_back(tale: Tale) -> None:
    for offset, version in ((5, 3), (6, 2)):
        changed = tale.messages[0] | {"version": version}
        for session in (tale.alice, tale.bob):
            tale.hear(session, "message.updated", (1, offset), message=changed)


def version_back_in_a_new_epoch(tale: Tale) -> None:
    """The epoch began behind the edit, which is repeated nevertheless."""
    repeated_after_a_loss(tale)
    tale.history.opened[ROOM, 2] = (1, 5)


def overtaken(tale: Tale) -> None:
    one, two, three = tale.messages
    tale.stored(one, two | {"seq": 3}, three | {"seq": 2})
    for page in tale.final.histories.values():
        page.sort(key=lambda m: int(m["seq"]))


def two_histories(tale: Tale) -> None:
    tale.final.histories[ROOM, 1][0]["text"] = "another"


def seq_twice(tale: Tale) -> None:
    tale.stored(*tale.messages[:2], tale.messages[2] | {"seq": 2})


def hole(tale: Tale) -> None:
    tale.hear(tale.bob, "room.updated", (1, 6))


def again(tale: Tale) -> None:
    tale.history.heard.append(tale.history.heard[-1])


def stale_cursor(tale: Tale) -> None:
    """A session says recovered and continues elsewhere."""
    later = tale.session("bob1", "bob", 1, r=[1, 4])
    tale.history.heard.append(
        Heard(later, tale.tick(), {"type": "session.ready", "data": {"recovered": {ROOM: True}}})
    )
    tale.hear(later, "room.updated", (1, 6))


def behind_added(tale: Tale) -> None:
    later = tale.session("bob1", "bob", 1)
    tale.hear(later, "room.added", None, room={"epoch": 1, "offset": 2})
    tale.hear(later, "message.new", (1, 4), message=tale.messages[2])


def no_reset(tale: Tale) -> None:
    tale.hear(tale.bob, "room.epoch", (2, 1), prev=[1, 3])
    tale.hear(tale.bob, "room.updated", (2, 2))


def position_twice(tale: Tale) -> None:
    tale.ask(
        "sync",
        {"cursors": {}},
        rooms={ROOM: {"events": [tale.history.heard[0].event | {"data": {"message": message(9)}}]}},
    )


def cursor_back(tale: Tale) -> None:
    for read in (2, 1):
        cursors = [{"user_id": "alice", "read_seq": read, "delivered_seq": 2}]
        tale.hear(tale.bob, "receipt.updated", None, cursors=cursors)


def read_above_delivered(tale: Tale) -> None:
    tale.final.rooms[ROOM, "alice", 0]["delivered_seq"] = 0


def unread_wrong(tale: Tale) -> None:
    tale.final.rooms[ROOM, "bob", 1]["unread"] = 2


def lacks_room(tale: Tale) -> None:
    tale.final.held["bob1", "other"] = tale.final.held.pop(("bob1", ROOM))


def holds_less(tale: Tale) -> None:
    tale.final.held["bob1", ROOM][1].popitem()


def holds_old(tale: Tale) -> None:
    tale.final.held["bob1", ROOM][1]["m-t1"]["text"] = "older"


def deaf(tale: Tale) -> None:
    tale.final.held["bob1", ROOM] = ((1, 3), tale.final.held["bob1", ROOM][1])


def unlisted(tale: Tale) -> None:
    tale.ask("message.list", {}, messages=tale.messages[:2], has_more=False)


def not_found(tale: Tale) -> None:
    tale.ask("message.edit", {"message_id": "m-t3", "text": "x"}, "not_found")


def two_answers(tale: Tale) -> None:
    command = tale.history.commands[0]
    command.answers.append(command.answers[0])


def late(tale: Tale) -> None:
    tale.history.commands[2].answers[0] = (60.0, tale.history.commands[2].answers[0][1])


def no_answer(tale: Tale) -> None:
    tale.ask("room.get", {})
    tale.history.commands[-1].answers.clear()
    tale.history.began -= 60


def behind_removal(tale: Tale) -> None:
    tale.hear(tale.alice, "member.removed", (1, 5), members=[{"user_id": "bob"}])
    for session in (tale.alice, tale.bob):
        tale.hear(session, "room.updated", (1, 6))


def behind_removal_in_a_new_epoch(tale: Tale) -> None:
    tale.hear(tale.alice, "member.removed", (1, 5), members=[{"user_id": "bob"}])
    tale.hear(tale.alice, "room.epoch", (2, 1), prev=[1, 5])
    for session in (tale.alice, tale.bob):
        tale.hear(session, "room.updated", (2, 2))


def ephemeral_outside(tale: Tale) -> None:
    tale.hear(tale.bob, "room.removed", None, reason="removed")
    tale.hear(tale.bob, "typing.changed", None, user_ids=[])


def removal_forgotten(tale: Tale) -> None:
    tale.ask("member.remove", {"user_ids": ["bob"]}, status="stored")


@pytest.mark.parametrize(
    ("spoil", "promise"),
    [
        (lost, "D1"),
        (twice, "D1"),
        (unstored, "D1"),
        (only_received, "D2"),
        (another_id, "D7"),
        (no_duplicate, "D7"),
        (old_edit, "D1/D8"),
        (not_deleted, "D1/D8"),
        (reaction_lost, "D1/D8"),
        (overtaken, "D3"),
        (moved, "D3/D7"),
        (half_sync, "D4"),
        (sync_ends_early, "D4"),
        (version_back, "D8"),
        (version_back_in_a_new_epoch, "D8"),
        (two_histories, "D3"),
        (seq_twice, "D3"),
        (hole, "D4"),
        (again, "D4"),
        (stale_cursor, "D4"),
        (behind_added, "D4"),
        (no_reset, "D4"),
        (position_twice, "D6"),
        (cursor_back, "D8"),
        (read_above_delivered, "D8"),
        (unread_wrong, "unread"),
        (lacks_room, "D4/D5"),
        (holds_less, "D4"),
        (holds_old, "D4"),
        (deaf, "D5"),
        (unlisted, "D9"),
        (not_found, "D9"),
        (two_answers, "D10"),
        (late, "D10"),
        (no_answer, "D10"),
        (behind_removal, "A2"),
        (behind_removal_in_a_new_epoch, "A2"),
        (ephemeral_outside, "A2"),
        (removal_forgotten, "A2/D1"),
    ],
)
def test_each_violation_is_found(spoil: Callable[[Tale], None], promise: str) -> None:
    """One spoiled thing violates its guarantee, and the report names it."""
    tale = Tale()
    spoil(tale)
    found = tale.violations()
    assert promise in {violation.promise for violation in found}
    assert f"{promise}" in report(tale.history, found)


def test_good_history_has_no_violation() -> None:
    """The unspoiled history is correct."""
    assert Tale().violations() == []


def excused_accepted(tale: Tale) -> None:
    """Redis lost a message that was only accepted, before any device received it."""
    tale.send(message(4), status="accepted")
    del tale.history.heard[-2:]
    tale.history.troubles.append(Trouble("lose-all", "redis", tale.clock, tale.tick()))


def failed(tale: Tale) -> None:
    tale.hear(tale.bob, "message.new", (1, 5), message=message(4))
    tale.hear(tale.bob, "message.failed", (1, 6), message_id="m-t4")
    tale.final.held.clear()
    tale.final.rooms.clear()


def reset(tale: Tale) -> None:
    tale.hear(tale.bob, "room.epoch", (2, 1), prev=[1, 3])
    tale.hear(tale.bob, "sync.reset", None, epoch=2, offset=1)
    tale.hear(tale.bob, "room.updated", (2, 2))


def continued(tale: Tale) -> None:
    tale.hear(tale.bob, "room.epoch", (2, 1), prev=[1, 4])
    tale.hear(tale.bob, "room.updated", (2, 2))


def late_but_stopped(tale: Tale) -> None:
    late(tale)
    tale.history.troubles.append(Trouble("stop", "web0", 0.5, 59.0))


def back_in(tale: Tale) -> None:
    """Removed, added again, and receiving events."""
    tale.hear(tale.alice, "member.removed", (1, 5), members=[{"user_id": "bob"}])
    tale.hear(tale.bob, "room.removed", None, reason="removed")
    tale.hear(tale.alice, "member.added", (1, 6), members=[{"user_id": "bob"}])
    tale.hear(tale.bob, "room.added", None, room={"epoch": 1, "offset": 6})
    for session in (tale.alice, tale.bob):
        tale.hear(session, "room.updated", (1, 7))


def back_in_while_nobody_listened(tale: Tale) -> None:
    """The addition is in a part of the log that a reset skips on all devices."""
    tale.hear(tale.alice, "member.removed", (1, 5), members=[{"user_id": "bob"}])
    tale.hear(tale.bob, "room.removed", None, reason="removed")
    tale.hear(tale.bob, "room.added", None, room={"epoch": 2, "offset": 5})
    tale.hear(tale.alice, "sync.reset", None, epoch=2, offset=5)
    for session in (tale.alice, tale.bob):
        tale.hear(session, "room.updated", (2, 6))


def repeated_after_a_loss(tale: Tale) -> None:
    """Redis lost an edit that was heard, no device was live for the next epoch, it came again."""
    edited = tale.messages[0] | {"version": 2}
    for at in ((1, 5), (2, 2)):
        for session in (tale.alice, tale.bob):
            tale.hear(session, "message.updated", at, message=edited)
            if at == (1, 5):
                tale.hear(session, "sync.reset", None, epoch=2, offset=1)
    tale.history.opened[ROOM, 2] = (1, 4)
    tale.final.held.clear()
    tale.final.rooms.clear()


@pytest.mark.parametrize(
    "more",
    [
        excused_accepted,
        failed,
        reset,
        continued,
        late_but_stopped,
        back_in,
        back_in_while_nobody_listened,
        repeated_after_a_loss,
    ],
)
def test_histories_that_the_guarantees_allow_have_no_violation(
    more: Callable[[Tale], None],
) -> None:
    """Similar histories that the guarantees allow are correct."""
    tale = Tale()
    more(tale)
    assert tale.violations() == []


def test_rooms_that_no_instance_could_read_are_not_checked() -> None:
    """If no instance answers in the end, only that is a violation."""
    tale = Tale()
    tale.final = Final()
    assert tale.violations() == []


def test_timeline_shows_commands_answers_events_and_faults_in_order() -> None:
    """A report has all of them with their times."""
    tale = Tale()
    tale.history.troubles.append(Trouble("kill", "relay", 0.25, 0.75))
    hole(tale)
    lines = report(tale.history, tale.violations()).splitlines()
    assert lines[0].startswith("D4 at ")
    for word in ("says   message.send", "gets   message.send", "heard  message.new", "kill relay"):
        assert any(word in line for line in lines), word
    times = [float(line.split()[0]) for line in lines[1:]]
    assert times == sorted(times)


def test_a_change_by_a_removed_author_may_be_answered_not_found() -> None:
    """The removal came between the command and its answer."""
    tale = Tale()
    asked = {"message_id": "m-t3", "text": "x"}
    tale.ask("message.edit", asked, "not_found")
    user = tale.history.commands[-1].session.user
    assert own_writes_are_read(tale.history, tale.final)
    tale.hear(tale.alice, "member.removed", (1, 5), members=[{"user_id": user}])
    assert not own_writes_are_read(tale.history, tale.final)
