"""D1, D2, D7: durability of what was acked, and the last own change wins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.nemesis.recorder import Command, Final, History, Json, Violation

DURABLE = ("queued", "stored")


def acked_is_in_history(history: History, final: Final) -> list[Violation]:
    """D1: a message acked `queued` is in history once; so is `accepted` if Redis lost nothing."""
    found: list[Violation] = []
    times = _by_client_id(final)
    for command in _oks(history, "message.send"):
        room_id, one = command.room_id, command.data["client_msg_id"]
        if room_id not in times:  # nobody could look
            continue
        count = times[room_id][one]
        status = _best_status(history, command)
        if count > 1:
            found.append(Violation("D1", room_id, f"{one} is {count} times in history", command.at))
        if count == 0 and (status in DURABLE or not history.losses(command.at)):
            text = f"{one} was acked {status} and is not in history"
            found.append(Violation("D1", room_id, text, command.answered))
    for room_id, ids in final.stored.items():
        shown = Counter(m["message_id"] for m in final.messages(room_id))
        if missing := shown - Counter(ids):
            found.append(Violation("D1", room_id, f"not in chat-messages: {sorted(missing)}"))
    return found


def queued_keeps_its_place(history: History, final: Final) -> list[Violation]:
    """D3, D7: the position in an ack `queued` is that of the message in history."""
    found, told = [], set()
    places = {
        (room_id, m["message_id"]): (m["epoch"], m["seq"])
        for (room_id, _), messages in final.histories.items()
        for m in messages
    }
    for command in _oks(history, "message.send"):
        data = _data(command)
        key = (command.room_id, data["message_id"])
        acked, stands = (data["epoch"], data["seq"]), places.get(key)
        if data["status"] in DURABLE and stands not in (None, acked) and (key, acked) not in told:
            told.add((key, acked))
            text = f"{data['client_msg_id']} was acked queued at {acked} and stands at {stands}"
            found.append(Violation("D3/D7", command.room_id, text, command.answered))
    return found


def live_is_in_history(history: History, final: Final) -> list[Violation]:
    """D2: a message that a device received is in history, or the device got `message.failed`."""
    found: list[Violation] = []
    there = {room_id: _ids(final, room_id) for room_id, _ in final.histories}
    failed: dict[str, set[str]] = defaultdict(set)
    for heard in history.heard:
        if heard.type == "message.failed":
            failed[heard.session.device].add(heard.event["data"]["message_id"])
    told: set[tuple[str, str]] = set()
    for heard in history.heard:
        if heard.type != "message.new" or heard.room_id not in there:
            continue
        device, one = heard.session.device, heard.event["data"]["message"]["message_id"]
        if one in there[heard.room_id] or one in failed[device] or (device, one) in told:
            continue
        told.add((device, one))
        text = f"{device} heard {one} at {heard.position}; it is not in history and never failed"
        found.append(Violation("D2", heard.room_id, text, heard.at))
    return found


def retries_agree(history: History, final: Final) -> list[Violation]:
    """D7: one client_msg_id is one message, and later acks say `duplicate`."""
    found: list[Violation] = []
    first: dict[tuple[str, str, str], Command] = {}
    for command in sorted(_oks(history, "message.send"), key=lambda c: c.answered):
        key = (command.session.user, command.room_id, command.data["client_msg_id"])
        known = first.setdefault(key, command)
        answer, before = _data(command), _data(known)
        if answer["message_id"] != before["message_id"]:
            text = f"{key[2]} answered {before['message_id']}, then {answer['message_id']}"
            found.append(Violation("D7", command.room_id, text, command.answered))
        if command.at > known.answered and not answer.get("duplicate"):
            text = f"{key[2]} was acked before and is answered without duplicate: true"
            found.append(Violation("D7", command.room_id, text, command.answered))
    return found


def last_change_stands(history: History, final: Final) -> list[Violation]:
    """D1, D8: the newest acked edit, deletion or reaction stands, never an older one."""
    found: list[Violation] = []
    messages = {m["message_id"]: m for (room, _), page in final.histories.items() for m in page}
    for command in _last_changes(history):
        message = messages.get(command.data["message_id"])
        excused = _data(command).get("status") == "accepted" and history.losses(command.at)
        if message is None or excused or _stands(command, message):
            continue
        shown = {k: message.get(k) for k in ("text", "version", "deleted_at", "reactions")}
        status = _data(command).get("status")
        text = f"{command.event} {command.data} was acked {status}; history: {shown}"
        found.append(Violation("D1/D8", command.room_id, text, command.answered))
    return found


def _last_changes(history: History) -> Iterator[Command]:
    """The last edit and deletion of each message, and each user's last reaction with an emoji."""
    last: dict[tuple[str, ...], Command] = {}
    for event in ("message.edit", "message.delete", "message.react"):
        for command in _oks(history, event):
            data = command.data
            key = (event, data["message_id"], command.session.user, data.get("emoji", ""))
            last[key] = command
    yield from last.values()


def _stands(command: Command, message: Json) -> bool:
    if command.event == "message.delete":
        return "deleted_at" in message
    if "deleted_at" in message:
        return True
    if command.event == "message.edit":
        return bool(message["text"] == command.data["text"])
    users = message["reactions"].get(command.data["emoji"], {}).get("user_ids", [])
    return (command.session.user in users) is command.data["on"]


def _oks(history: History, event: str) -> Iterator[Command]:
    return (c for c in history.commands if c.event == event and c.ok is not None)


def _data(command: Command) -> Json:
    assert command.ok is not None
    return command.ok


def _best_status(history: History, command: Command) -> str:
    """The status of the ack, or `queued` if message.status came later."""
    data = _data(command)
    told = any(
        heard.type == "message.status" and heard.event["data"]["message_id"] == data["message_id"]
        for heard in history.heard
    )
    return "queued" if told else str(data["status"])


def _by_client_id(final: Final) -> dict[str, Counter[str]]:
    return {
        room_id: Counter(str(m.get("client_msg_id")) for m in final.messages(room_id))
        for room_id, _ in final.histories
    }


def _ids(final: Final, room_id: str) -> set[str]:
    return {m["message_id"] for m in final.messages(room_id)}
