"""The manifest of rooms: a YAML file, checked as a whole before anything is asked of a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from marshmallow import RAISE, Schema, ValidationError, fields, pre_load
from marshmallow.validate import Length

from rts_server import errors
from rts_server.protocol.fields import LIMITS, Flag, Metadata, choice, line, role, user
from rts_server.tools.cli.difference import Declared, Member, Present
from rts_server.tools.cli.yaml_stream import Loader, line_of

MOST_ERRORS = 20
"""Said at once; who made more has to come back anyway."""

MANAGED = ("name", "metadata", "frozen")


class Wrong(Exception):
    """The manifest is not one: a line for each thing that is wrong."""


class _Strict(Schema):
    class Meta:
        """A misspelt field is a mistake, not nothing."""

        unknown = RAISE


class DeclaredMember(_Strict):
    """A member; a text alone is the user id of a plain one."""

    user_id = user(required=True)
    role = role(load_default="member")
    name = line(128)

    @pre_load
    def _short(self, data: Any, **_: Any) -> Any:
        return {"user_id": data} if isinstance(data, str) else data


class DeclaredRoom(_Strict):
    """A room by its business key. A direct room has none: its two people make it themselves."""

    external_id = user(required=True)
    type = choice("group", load_default="group")
    name = line(LIMITS.room_name)
    metadata = Metadata()
    frozen = Flag()
    membership = choice("whole", "additive")
    members = fields.List(fields.Nested(DeclaredMember), validate=Length(0, LIMITS.group_members))


class Header(_Strict):
    """What stands beside the rooms and counts for all that say nothing else."""

    membership = choice("whole", "additive", load_default="whole")


class Manifest:
    """The rooms of a file, read anew and one by one each time they are walked."""

    def __init__(self, path: Path) -> None:
        """Checks all of it. Raises Wrong, OSError."""
        self._path = path
        self._whole = True
        self.count = 0
        self._check()

    def __iter__(self) -> Iterator[Declared]:
        schema = DeclaredRoom()
        for key, _, value in self._items():
            if key == "rooms":
                yield _declared(schema.load(value), self._whole)

    def __len__(self) -> int:
        return self.count

    def ids(self) -> Iterator[str]:
        """The business keys."""
        return (declared.external_id for declared in self)

    def _items(self) -> Iterator[Any]:
        with self._path.open("rb") as file:
            yield from Loader(file).items("rooms")

    def _check(self) -> None:
        said: list[str] = []
        header: dict[str, Any] = {}
        keys: Counter[str] = Counter()
        try:
            for key, node, value in self._items():
                if key == "rooms":
                    found = [(line_of(node, at), text) for at, text in _wrong(value, keys)]
                    said += [f"{number}: {text}" for number, text in sorted(found)]
                    self.count += 1
                elif not key.startswith("x-"):
                    header[key] = value
                if len(said) >= MOST_ERRORS:
                    break
            self._whole = Header().load(header)["membership"] == "whole"
        except yaml.YAMLError as error:
            said.append(_yaml_said(error))
        except ValidationError as error:
            said += [
                f"1: {at}: {' '.join(text)}" for at, text in errors.details(error.messages).items()
            ]
        if said:
            raise Wrong("\n".join(f"{self._path}:{text}" for text in said[:MOST_ERRORS]))


def _wrong(value: Any, keys: Counter[str]) -> Iterator[tuple[str, str]]:
    """(path in the room, what is wrong there); `keys` counts business keys so far."""
    name = value.get("external_id") if isinstance(value, dict) else None
    called = f"room {name}" if isinstance(name, str) else "room without external_id"
    for at, texts in _mistakes(value).items():
        yield at, f"{called}: {at + ': ' if at else ''}{' '.join(texts)}"
    if isinstance(name, str):
        keys[name] += 1
        if keys[name] == 2:
            yield "external_id", f"{called}: declared twice"


def _mistakes(value: Any) -> dict[str, list[str]]:
    try:
        room = DeclaredRoom().load(value)
    except ValidationError as error:
        told = errors.details(error.messages)
        return {at.removeprefix("_schema"): _hinted(texts) for at, texts in told.items()}
    except errors.MessageTooLarge as error:
        return error.details or {"": [error.message]}
    except TypeError as error:  # as orjson says it of what JSON cannot
        return {"metadata": [str(error)]}
    users = Counter(one["user_id"] for one in room.get("members", ()))
    twice = [user_id for user_id, times in users.items() if times > 1]
    return {"members": [f"{user_id} is named twice" for user_id in twice]} if twice else {}


def _hinted(texts: list[str]) -> list[str]:
    return [f"{text} Quote it." if text == "Not a valid string." else text for text in texts]


def _declared(room: dict[str, Any], whole: bool) -> Declared:
    members = room.get("members")
    return Declared(
        room["external_id"],
        {name: room[name] for name in MANAGED if name in room},
        None if members is None else tuple(Member(**one) for one in members),
        room["membership"] == "whole" if "membership" in room else whole,
    )


def _yaml_said(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line_number = mark.line + 1 if mark else 1
    return f"{line_number}: {getattr(error, 'problem', None) or error}"


def dumped(external_id: str, present: Present) -> str:
    """A room as an item of `rooms` in a manifest."""
    room: dict[str, Any] = {"external_id": external_id}
    room |= {name: present.fields[name] for name in MANAGED if present.fields[name]}
    room["members"] = [
        user_id if role == "member" else {"user_id": user_id, "role": role}
        for user_id, role in sorted(present.roles.items())
    ]
    text: str = yaml.safe_dump([room], sort_keys=False, allow_unicode=True, width=100)
    return text


def indented(text: str) -> Iterable[str]:
    """Its lines as they stand under `rooms:`."""
    return ("  " + one for one in text.splitlines())
