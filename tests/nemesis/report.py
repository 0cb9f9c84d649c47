"""Shows a violation with the commands, answers, events and faults around it, by time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from tests.nemesis.recorder import Command, Heard, History, Json, Violation

AROUND = 12.0
"""Seconds shown before and after a violation that has a time."""
MOST = 120
"""Most lines of one timeline."""
TEXT = 180
FEW = 4
OBSERVER = "?"
"""Part of the name of devices that only read the final state."""


def report(history: History, violations: list[Violation]) -> str:
    """Return a few violations of each guarantee and room, and the timeline of the first."""
    lines: list[str] = []
    kinds: dict[tuple[str, str], list[Violation]] = defaultdict(list)
    for violation in violations:
        kinds[violation.promise, violation.room_id].append(violation)
    for same in kinds.values():
        lines += [_sentence(violation) for violation in same[:FEW]]
        if len(same) > FEW:
            lines.append(f"{same[0].promise}: and {len(same) - FEW} more in this room")
        lines += [f"    {line}" for line in timeline(history, same[0])]
    return "\n".join(lines)


def _sentence(violation: Violation) -> str:
    at = "" if violation.at is None else f" at {violation.at:.3f} s"
    text = violation.text if len(violation.text) <= 5 * TEXT else violation.text[: 5 * TEXT] + "…"
    return f"{violation.promise}{at}, room {violation.room_id}: {text}"


def timeline(history: History, violation: Violation) -> list[str]:
    """Return the room's lines around the violation (without a time: the last ones), and faults."""
    entries = [e for e in _entries(history, violation.room_id) if OBSERVER not in e[1]]
    at = violation.at
    shown = [e for e in entries if at is None or abs(e[0] - at) <= AROUND]
    if len(shown) > MOST:
        middle = len(shown) if at is None else sum(e[0] <= at for e in shown) + MOST // 4
        shown = shown[max(0, middle - MOST) : middle]
    return [_line(entry) for entry in shown]


def everything(history: History) -> str:
    """Return the whole history, to be kept beside the logs."""
    rooms = sorted({heard.room_id for heard in history.heard if heard.room_id})
    parts = [[f"room {room_id}", *map(_line, _entries(history, room_id))] for room_id in rooms]
    return "\n".join(line for part in parts for line in part)


def _line(entry: tuple[float, str]) -> str:
    return f"{entry[0]:8.3f}  {entry[1]}"


def _entries(history: History, room_id: str) -> list[tuple[float, str]]:
    entries = [*_faults(history), *_sessions(history)]
    for command in history.commands:
        if _concerns(command, room_id):
            entries += _command(command)
    entries += [
        (heard.at, f"{heard.session.device:10} heard  {_event(heard)}")
        for heard in history.heard
        if heard.room_id == room_id
    ]
    return sorted(entries)


def _concerns(command: Command, room_id: str) -> bool:
    return room_id in (command.room_id, "") or room_id in command.data.get("cursors", {})


def _faults(history: History) -> Iterator[tuple[float, str]]:
    for trouble in history.troubles:
        yield trouble.began, f"---------- {trouble.kind} {trouble.target} begins"
        if trouble.ended < float("inf"):
            yield trouble.ended, f"---------- {trouble.kind} {trouble.target} ends"


def _sessions(history: History) -> Iterator[tuple[float, str]]:
    for session in history.sessions:
        cursors = {room: cursor[:2] for room, cursor in session.cursors.items()}
        yield session.at, f"{session.device:10} opens  session {session.number} {_short(cursors)}"
        if session.ended is not None:
            yield session.ended, f"{session.device:10} closed session {session.number}"
    for heard in history.heard:
        if heard.type == "session.ready":
            told = heard.event["data"]["recovered"]
            yield heard.at, f"{heard.session.device:10} ready  {_short(told)}"


def _command(command: Command) -> Iterator[tuple[float, str]]:
    who = f"{command.session.device:10}"
    data = {k: v for k, v in command.data.items() if k != "room_id"}
    yield command.at, f"{who} says   {command.event} {_short(data)}"
    for at, answer in command.answers:
        told = answer.get("data") if answer["ok"] else answer["error"]
        yield at, f"{who} gets   {command.event} {_short(_brief(told or {}))}"


def _brief(told: Json) -> Json:
    if "messages" in told:
        return {"messages": [f"{m['seq']} {m['text']}" for m in told["messages"]][-6:]}
    if "message" in told and isinstance(told["message"], dict):
        names = ("message_id", "version", "text")
        return {n: told["message"].get(n) for n in names} | {"status": told.get("status")}
    return told


def _event(heard: Heard) -> str:
    data = heard.event["data"]
    if isinstance(data.get("message"), dict):
        names = ("message_id", "seq", "version", "text", "sender_id")
        data = {name: data["message"].get(name) for name in names}
    return f"{heard.type} {heard.position or ''} {_short(data)}"


def _short(data: Json) -> str:
    text = json.dumps(data, ensure_ascii=False)
    return text if len(text) <= TEXT else text[:TEXT] + "…"
