"""D3, D4, D6: one order, no gap, no position twice."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import orjson

from tests.nemesis.recorder import Command, Final, Heard, History, Json, Position, Violation


def order_of_sending(history: History, final: Final) -> list[Violation]:
    """D3: messages of one connection that were acked at the first attempt keep their order."""
    tries: dict[tuple[str, str], list[Command]] = defaultdict(list)
    for command in history.commands:
        if command.event == "message.send":
            tries[command.session.user, command.data["client_msg_id"]].append(command)
    firsts: dict[tuple[int, str], list[Command]] = defaultdict(list)
    for same in tries.values():
        if same[0].ok is not None:
            firsts[same[0].session.number, same[0].room_id].append(same[0])
    found = []
    for (_, room_id), sent in firsts.items():
        at = {m.get("client_msg_id"): (m["epoch"], m["seq"]) for m in final.messages(room_id)}
        placed = [(at[one], c) for c in sent if (one := c.data["client_msg_id"]) in at]
        for (here, one), (there, other) in pairwise(placed):
            if here > there:
                names = [c.data["client_msg_id"] for c in (one, other)]
                text = f"{names[0]} was sent before {names[1]} and stands behind it"
                found.append(Violation("D3", room_id, text, one.at))
    return found


def histories_agree(history: History, final: Final) -> list[Violation]:
    """D3: all instances return one history, by (epoch, seq), each seq once."""
    found = []
    for (room_id, instance), messages in final.histories.items():
        shown = [(m["epoch"], m["seq"], m["message_id"]) for m in messages]
        if shown != sorted(shown) or len({seq for _, seq, _ in shown}) != len(shown):
            found.append(Violation("D3", room_id, f"web{instance} tells {shown}"))
        if messages != final.messages(room_id):
            others = {m["message_id"]: m for m in final.messages(room_id)}
            differ = [m for m in messages if m != others.get(m["message_id"])]
            text = f"web{instance} tells another history than the first: {differ[:3]}"
            found.append(Violation("D3", room_id, text))
    return found


def positions_are_given_once(history: History, final: Final) -> list[Violation]:
    """D6: no (room, epoch, offset) has two contents."""
    known: dict[tuple[str, Position], bytes] = {}
    found, told = [], set()
    for at, event in _durable(history):
        key = (event["room_id"], (event["epoch"], event["offset"]))
        content = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
        if known.setdefault(key, content) != content and key not in told:
            told.add(key)
            text = f"{key[1]} is {known[key].decode()} and {content.decode()}"
            found.append(Violation("D6", key[0], text, at))
    return found


def _durable(history: History) -> list[tuple[float, Json]]:
    events = [(heard.at, heard.event) for heard in history.heard if heard.position]
    for command in history.commands:
        if command.event == "sync" and command.ok is not None:
            for room in command.ok["rooms"].values():
                events += [(command.answered, event) for event in room.get("events", ())]
    return events


@dataclass
class Stream:
    """The events of a room on one device. `at` None: any position up to `most`."""

    at: Position | None = None
    most: Position | None = None
    waits: bool = False

    def take(self, heard: Heard) -> str | None:
        """Return the violation by the next event, if any."""
        if heard.type == "sync.reset":
            data = heard.event["data"]
            self.at, self.waits = (data["epoch"], data["offset"]), False
            return None
        if heard.type == "room.added":
            room = heard.event["data"]["room"]
            self.at, self.most, self.waits = None, (room["epoch"], room["offset"]), False
            return None
        here = heard.position
        if here is None:
            return None
        wrong = self._judge(heard, here)
        if heard.type == "room.epoch":
            self.waits = self.at is not None and tuple(heard.event["data"]["prev"]) != self.at
        self.at, self.most = here, None
        return wrong

    def _judge(self, heard: Heard, here: Position) -> str | None:
        if self.at is None:
            late = self.most and here[0] == self.most[0] and here[1] > self.most[1] + 1
            return f"{here} is the first event behind the room at {self.most}" if late else None
        if here <= self.at:
            return f"{here} comes again, or late: the device stood at {self.at}"
        if self.waits and heard.type != "room.epoch":
            return f"{here} comes without sync.reset behind a room.epoch that did not continue"
        if heard.type == "room.epoch" or here == (self.at[0], self.at[1] + 1):
            return None
        return f"{here} comes behind {self.at}: something is missing"


def syncs_are_whole(history: History, final: Final) -> list[Violation]:
    """D4: a recovered sync has every event from its cursor to its end."""
    found = []
    for command in history.commands:
        if command.event != "sync" or command.ok is None:
            continue
        for room_id, told in command.ok["rooms"].items():
            if told.get("recovered") and (wrong := _hole(command.data["cursors"][room_id], told)):
                found.append(
                    Violation("D4", room_id, f"sync of {command.data}: {wrong}", command.at)
                )
    return found


def _hole(cursor: list[int], told: Json) -> str | None:
    at = (cursor[0], cursor[1])
    for event in told["events"]:
        here = (event["epoch"], event["offset"])
        continues = event["type"] == "room.epoch" and tuple(event["data"]["prev"]) == at
        if not continues and here != (at[0], at[1] + 1):
            return f"{here} comes behind {at}"
        at = here
    end = (told["epoch"], told["offset"])
    return f"it ends at {at} and says {end}" if at < end and not told["has_more"] else None


def streams_have_no_hole(history: History, final: Final) -> list[Violation]:
    """D4: each session continues at its cursors, event by event, or gets `sync.reset`."""
    found: list[Violation] = []
    streams: dict[tuple[int, str], Stream] = {}
    for heard in history.heard:
        session = heard.session
        if heard.type == "session.ready":
            for room_id, recovered in heard.event["data"]["recovered"].items():
                cursor = session.cursors.get(room_id)
                if recovered and cursor:
                    streams[session.number, room_id] = Stream((cursor[0], cursor[1]))
        if not heard.room_id:
            continue
        stream = streams.setdefault((session.number, heard.room_id), Stream())
        if wrong := stream.take(heard):
            text = f"{session.device}, session {session.number}: {wrong}"
            found.append(Violation("D4", heard.room_id, text, heard.at))
    return found
