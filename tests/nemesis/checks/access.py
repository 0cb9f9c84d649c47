"""A2: the removal fence."""

from __future__ import annotations

from collections import defaultdict

from tests.nemesis.recorder import Final, History, Json, Position, Violation

PUBLISHED = ("receipt.updated", "typing.changed")
"""Ephemeral events of a room that only members hear."""


def nothing_behind_a_removal(history: History, final: Final) -> list[Violation]:
    """No event between a removal and the next addition reaches the removed, on any device."""
    found: list[Violation] = []
    found_logs = logs(history)
    for heard in history.heard:
        at, user = heard.position, heard.session.user
        if at is None or at not in found_logs[heard.room_id]:
            continue
        if heard.type == "member.removed" or _inside(found_logs[heard.room_id], at, user):
            continue
        text = f"{heard.session.device} heard {heard.type} {at}, where {user} was no member"
        found.append(Violation("A2", heard.room_id, text, heard.at))
    return found + _events_after_removal(history) + _removed_stay_out(history, final)


def logs(history: History) -> dict[str, dict[Position, Json]]:
    """The log of each room as any device received it, without tails that a later epoch replaced.

    An epoch of which no device received anything replaces nothing: it may never have begun.
    """
    found: dict[str, dict[Position, Json]] = defaultdict(dict)
    for heard in history.heard:
        if heard.position:
            found[heard.room_id][heard.position] = heard.event
    for room_id, log in found.items():
        for epoch in sorted({epoch for epoch, _ in log}):
            prev = _prev(log, epoch) or history.opened.get((room_id, epoch))
            for at in [at for at in log if prev and prev < at < (epoch, 1)]:
                del log[at]
    return found


def _prev(log: dict[Position, Json], epoch: int) -> Position | None:
    """Return the last position that survived before an epoch, if a device was told of it."""
    opening = log.get((epoch, 1))
    if opening is None or opening["type"] != "room.epoch":
        return None
    last_epoch, last_offset = opening["data"]["prev"]
    return last_epoch, last_offset


def _inside(log: dict[Position, Json], at: Position, user: str) -> bool:
    """Return False if the log proves that the user is no member at `at`; a part that nobody
    received before `at` proves nothing, as the addition may be there."""
    changes = [
        (position, event["type"])
        for position, event in log.items()
        if position <= at
        and event["type"] in ("member.added", "member.removed")
        and any(member["user_id"] == user for member in event["data"]["members"])
    ]
    if not changes or max(changes)[1] == "member.added":
        return True
    return not _contiguous(log, max(changes)[0], at)


def _contiguous(log: dict[Position, Json], first: Position, last: Position) -> bool:
    """Return whether some device received every event between two positions."""
    while last > first:
        event = log.get(last)
        if event is None:
            return False
        opens_epoch = event["type"] == "room.epoch"
        last = tuple(event["data"]["prev"]) if opens_epoch else (last[0], last[1] - 1)
    return last == first


def _events_after_removal(history: History) -> list[Violation]:
    """Between `room.removed` and `room.added` a session receives no events of the room."""
    found, out = [], set()
    for heard in history.heard:
        key = (heard.session.number, heard.room_id)
        if heard.type == "room.removed":
            out.add(key)
        elif heard.type == "room.added":
            out.discard(key)
        elif key in out and (heard.position or heard.type in PUBLISHED):
            text = f"{heard.session.device} heard {heard.type} behind room.removed"
            found.append(Violation("A2", heard.room_id, text, heard.at))
    return found


def _removed_stay_out(history: History, final: Final) -> list[Violation]:
    """The last acked change of a membership is its state at the end."""
    last: dict[tuple[str, str], tuple[float, str, str]] = {}
    for command in history.commands:
        if command.event in ("member.add", "member.remove") and command.ok is not None:
            for user in command.data["user_ids"]:
                status = str(command.ok["status"])
                last[command.room_id, user] = (command.answered, command.event, status)
    found = []
    for (room_id, user), (at, event, status) in last.items():
        inside = user in final.members.get(room_id, set())
        excused = status == "accepted" and history.losses(at - 10)
        if room_id in final.members and inside is not (event == "member.add") and not excused:
            is_ = "is" if inside else "is not"
            text = f"{event} of {user} was acked {status}, and they {is_} a member at the end"
            found.append(Violation("A2/D1", room_id, text, at))
    return found
