"""D9, D10: one answer in time, which reflects what was acked before."""

from __future__ import annotations

from tests.nemesis.checks.durable import DURABLE
from tests.nemesis.recorder import Command, Final, History, Violation

WITHIN = 5.0
SLACK = 1.0
"""Of the way, on a machine with other work; the recorder's own lag comes on top, four times."""
CHANGES = ("message.edit", "message.delete", "message.react")
HALTS = ("stop", "stall", "stall-up", "stall-down", "slow", "refuse", "drop", "kill")


def one_answer_in_time(history: History, final: Final) -> list[Violation]:
    """D10: exactly one ack within 5 s, while instance and link worked."""
    found = []
    for command in history.commands:
        if len(command.answers) > 1:
            text = f"{command.event} was answered {len(command.answers)} times"
            found.append(Violation("D10", command.room_id, text, command.answers[1][0]))
        ended = command.session.ended
        open_until = command.answered if command.answers else history.now()
        end = min(open_until, ended if ended is not None else open_until)
        lost = sum(
            trouble.overlap(command.at - 1, end)
            for trouble in history.troubles
            if _halts(trouble.kind, trouble.target, command.session.instance)
        )
        lag = sum(4 * late for at, late in history.lags if command.at - 1 <= at <= end + 1)
        if lost == 0 and end - command.at > WITHIN + SLACK + lag:
            how = "answered" if command.answers else "without an answer"
            text = (
                f"{command.event} of {command.session.device}: {how} after {end - command.at:.2f} s"
            )
            found.append(Violation("D10", command.room_id, text, command.at))
    return found


def _halts(kind: str, target: str, instance: int) -> bool:
    """Return whether a fault keeps the answer from arriving."""
    return kind in HALTS and target in (f"web{instance}", f"web{instance}-door")


def own_writes_are_read(history: History, final: Final) -> list[Violation]:
    """D9: a list of the newest messages, and a change, reflect what was acked before."""
    found = []
    acked = [
        c
        for c in history.commands
        if c.event == "message.send" and c.ok is not None and c.ok["status"] in DURABLE
    ]
    there = {m["message_id"] for page in final.histories.values() for m in page}
    for command in history.commands:
        if command.event == "message.list" and command.ok is not None:
            found += _unlisted(command, acked)
        elif command.event in CHANGES:
            found += _unfound(command, acked, there, history)
    return found


def _unlisted(asked: Command, acked: list[Command]) -> list[Violation]:
    if asked.ok is None or {"before_seq", "after_seq"} & asked.data.keys():
        return []
    shown = {m["message_id"] for m in asked.ok["messages"]}
    first = asked.ok["messages"][0]["seq"] if asked.ok["has_more"] else 0
    missing = [
        c.data["client_msg_id"]
        for c in acked
        if c.room_id == asked.room_id
        and c.answered < asked.at
        and c.ok is not None
        and c.ok["seq"] > first
        and c.ok["message_id"] not in shown
    ]
    if not missing:
        return []
    text = f"message.list of {asked.session.device} lacks what was acked before: {missing}"
    return [Violation("D9", asked.room_id, text, asked.at)]


def _unfound(
    command: Command, acked: list[Command], there: set[str], history: History
) -> list[Violation]:
    """A change of an acked message is never answered not_found."""
    answer, one = command.answer, command.data["message_id"]
    if answer is None or answer["ok"] or answer["error"]["code"] != "not_found":
        return []
    known = any(
        c.ok is not None
        and c.ok["message_id"] == one
        and c.answered < command.at
        and c.session.user == command.session.user
        for c in acked
    )
    if not known or one not in there or _outside(command, history):
        return []
    text = f"{command.event} of {one}, acked before, answers not_found"
    return [Violation("D9", command.room_id, text, command.answered)]


def _outside(command: Command, history: History) -> bool:
    """Return whether the user was removed, by any device's log, before the answer."""
    is_out = False
    for heard in history.heard:
        if heard.room_id != command.room_id or heard.at > command.answered + SLACK:
            continue
        if heard.type not in ("member.added", "member.removed"):
            continue
        if command.session.user in (one["user_id"] for one in heard.event["data"]["members"]):
            if heard.type == "member.removed":
                is_out = True
            elif heard.at < command.at:
                is_out = False
    return is_out
