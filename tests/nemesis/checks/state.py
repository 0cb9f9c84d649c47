"""D4, D8: cursors, unread counts, and events that lead to the snapshot."""

from __future__ import annotations

from collections import defaultdict

from tests.nemesis.checks.access import logs
from tests.nemesis.recorder import Final, History, Json, Violation


def cursors_move_forward(history: History, final: Final) -> list[Violation]:
    """D8: cursors never move back for a session, unless Redis lost data meanwhile."""
    found = []
    known: dict[tuple[int, str, str], tuple[float, int, int]] = {}
    for heard in history.heard:
        if heard.type in ("room.added", "room.removed"):
            for key in [k for k in known if k[:2] == (heard.session.number, heard.room_id)]:
                del known[key]
        if heard.type != "receipt.updated":
            continue
        for cursor in heard.event["data"]["cursors"]:
            key = (heard.session.number, heard.room_id, cursor["user_id"])
            read, delivered = cursor["read_seq"], cursor["delivered_seq"]
            since, old_read, old_delivered = known.get(key, (heard.at, 0, 0))
            back = read < old_read or delivered < old_delivered
            if read > delivered or (back and not history.losses(since - 30)):
                was, is_ = (old_read, old_delivered), (read, delivered)
                text = f"{heard.session.device} heard {was}, then {is_} of {key[2]}"
                found.append(Violation("D8", heard.room_id, text, heard.at))
            known[key] = (heard.at, read, delivered)
    for (room_id, user, instance), room in final.rooms.items():
        read, delivered, seq = room["read_seq"], room["delivered_seq"], room["seq"]
        if not 0 <= read <= delivered <= seq:
            text = f"{user} on web{instance}: read {read}, delivered {delivered}, seq {seq}"
            found.append(Violation("D8", room_id, text))
    return found


def versions_move_forward(history: History, final: Final) -> list[Violation]:
    """D8: the version of a message only rises along the log."""
    found = []
    for room_id, log in logs(history).items():
        known: dict[str, int] = {}
        for at in sorted(log):
            data = log[at]["data"]
            message = data if "reaction" in data else data.get("message", {})
            if "version" not in message or log[at]["type"] == "message.new":
                continue
            one, version = message["message_id"], message["version"]
            if version <= known.get(one, 0):
                text = f"{one} has version {known[one]} before {at}, and {version} there"
                found.append(Violation("D8", room_id, text))
            known[one] = version
    return found


def unread_is_exact(history: History, final: Final) -> list[Violation]:
    """D4: unread equals the messages behind the cursor that count, on every instance."""
    found = []
    for (room_id, user, instance), room in final.rooms.items():
        behind = [
            m
            for m in final.messages(room_id)
            if m["seq"] > room["read_seq"] and m["type"] != "system" and "deleted_at" not in m
        ]
        if room["unread"] != len(behind):
            text = (
                f"{user} on web{instance}: unread {room['unread']} behind {room['read_seq']}, "
                f"history has {[m['seq'] for m in behind]}"
            )
            found.append(Violation("unread", room_id, text))
    return found


def events_lead_to_the_snapshot(history: History, final: Final) -> list[Violation]:
    """D4, D5: a device that followed events has the room's history and is at its head."""
    found: list[Violation] = []
    looked_at = {room_id for room_id, _ in final.histories}
    heads: dict[str, tuple[int, int]] = {}
    for (room_id, _, _), room in final.rooms.items():
        heads[room_id] = max(heads.get(room_id, (0, 0)), (room["epoch"], room["offset"]))
    for (device, room_id), (at, messages) in final.held.items():
        if at != heads.get(room_id, at):
            text = f"{device} stands at {at}, the room at {heads[room_id]}"
            found.append(Violation("D5", room_id, text))
        if room_id not in looked_at:
            continue
        if differ := _differences(messages, final.messages(room_id)):
            text = f"{device} holds something else than history: {'; '.join(differ[:4])}"
            found.append(Violation("D4", room_id, text))
    return found


def nobody_lacks_a_room(history: History, final: Final) -> list[Violation]:
    """D4, D5: every device of a member has the room."""
    users = {s.device: s.user for s in history.sessions}
    devices = {device for device, _ in final.held}
    return [
        Violation("D4/D5", room_id, f"{device} does not know that {user} is a member")
        for room_id, user in sorted({(room_id, user) for room_id, user, _ in final.rooms})
        for device in sorted(devices)
        if users[device] == user and (device, room_id) not in final.held
    ]


def _differences(held: dict[str, Json], history: list[Json]) -> list[str]:
    shown = {m["message_id"]: m for m in history}
    lines = [f"not in history: {_brief(held[one])}" for one in held.keys() - shown.keys()]
    lines += [f"missing: {_brief(shown[one])}" for one in shown.keys() - held.keys()]
    for one in held.keys() & shown.keys():
        if _essence(held[one]) != _essence(shown[one]):
            lines.append(f"{_brief(held[one])} where history has {_brief(shown[one])}")
    return sorted(lines)


def _essence(message: Json) -> Json:
    """The fields on which all clients must agree; the order of reactions is free."""
    reactions: dict[str, set[str]] = defaultdict(set)
    for emoji, one in message["reactions"].items():
        reactions[emoji] |= set(one["user_ids"])
    names = ("epoch", "seq", "text", "version", "type", "sender_id")
    return {name: message[name] for name in names} | {
        "deleted": "deleted_at" in message,
        "reactions": dict(reactions),
    }


def _brief(message: Json) -> str:
    names = ("epoch", "seq", "version", "text", "message_id")
    told = " ".join(f"{name}={message[name]!r}" for name in names)
    return f"({told}, reactions={ {e: r['user_ids'] for e, r in message['reactions'].items()} })"
