"""The manifest of rooms: a YAML file, checked as a whole before any request is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import yaml
from marshmallow import RAISE, Schema, ValidationError, fields
from marshmallow.validate import Length

from rts_server import errors
from rts_server.domain.size_limits import LIMITS
from rts_server.protocol.fields import Metadata, StrictBoolean, choice, line, user
from rts_server.protocol.requests import NewMemberSchema
from rts_server.tools.cli.difference import CurrentRoom, MemberDeclaration, RoomDeclaration
from rts_server.tools.cli.yaml_stream import StreamingLoader, TopLevelItem, line_of
from rts_server.types.requests import NewMemberRequest

MAX_REPORTED_ERRORS = 20
"""One screen; the others are reported by the next check."""

DECLARED_FIELDS = ("name", "metadata", "frozen")


class ManifestError(Exception):
    """The file is not a valid manifest; the text has one line per mistake."""


class _StrictSchema(Schema):
    class Meta:
        """Unknown fields are errors: they may be misspelt."""

        unknown = RAISE


class ManifestRoomSchema(_StrictSchema):
    """A room by its external id. Direct rooms have none: their two members create them."""

    external_id = user(required=True)
    type = choice("group", load_default="group")
    name = line(LIMITS.room_name)
    metadata = Metadata()
    frozen = StrictBoolean()
    membership = choice("whole", "additive")
    members = fields.List(fields.Nested(NewMemberSchema), validate=Length(0, LIMITS.group_members))


class ManifestRoom(TypedDict):
    """A room of a valid manifest."""

    external_id: str
    type: Literal["group"]
    name: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]
    frozen: NotRequired[bool]
    membership: NotRequired[Literal["whole", "additive"]]
    members: NotRequired[list[NewMemberRequest]]


class ManifestHeaderSchema(_StrictSchema):
    """The keys beside `rooms`: defaults for rooms that do not set them."""

    membership = choice("whole", "additive", load_default="whole")


class Manifest:
    """The rooms of a file. Each iteration reads the file again, one room at a time."""

    def __init__(self, path: Path) -> None:
        """Check the whole file. Raises ManifestError, OSError."""
        self._path = path
        self._whole = True
        self._count = 0
        self._check()

    def __iter__(self) -> Iterator[RoomDeclaration]:
        schema = ManifestRoomSchema()
        for key, _, value in self._items():
            if key == "rooms":
                yield _declaration(schema.load(value), self._whole)

    def __len__(self) -> int:
        return self._count

    def external_ids(self) -> Iterator[str]:
        """Yield the external id of each room."""
        return (declared.external_id for declared in self)

    def _items(self) -> Iterator[TopLevelItem]:
        with self._path.open("rb") as file:
            yield from StreamingLoader(file).top_level_items("rooms")

    def _check(self) -> None:
        mistakes: list[str] = []
        header: dict[str, Any] = {}
        seen_ids: Counter[str] = Counter()
        try:
            for key, node, value in self._items():
                if key == "rooms":
                    found = [(line_of(node, at), text) for at, text in _mistakes(value, seen_ids)]
                    mistakes += [f"{number}: {text}" for number, text in sorted(found)]
                    self._count += 1
                elif not key.startswith("x-"):
                    header[key] = value
                if len(mistakes) >= MAX_REPORTED_ERRORS:
                    break
            self._whole = ManifestHeaderSchema().load(header)["membership"] == "whole"
        except yaml.YAMLError as error:
            mistakes.append(_yaml_mistake(error))
        except ValidationError as error:
            by_field = errors.details(error.messages)
            mistakes += [f"1: {name}: {' '.join(texts)}" for name, texts in by_field.items()]
        if mistakes:
            reported = mistakes[:MAX_REPORTED_ERRORS]
            raise ManifestError("\n".join(f"{self._path}:{text}" for text in reported))


def _mistakes(value: Any, seen_ids: Counter[str]) -> Iterator[tuple[str, str]]:
    """Yield (path in the room, message); `seen_ids` counts the external ids read so far."""
    external_id = value.get("external_id") if isinstance(value, dict) else None
    named = isinstance(external_id, str)
    room = f"room {external_id}" if named else "room without external_id"
    for path, texts in _mistakes_by_path(value).items():
        yield path, f"{room}: {path + ': ' if path else ''}{' '.join(texts)}"
    if isinstance(external_id, str):
        seen_ids[external_id] += 1
        if seen_ids[external_id] == 2:
            yield "external_id", f"{room}: declared twice"


def _mistakes_by_path(value: Any) -> dict[str, list[str]]:
    try:
        room = ManifestRoomSchema().load(value)
    except ValidationError as error:
        by_path = errors.details(error.messages)
        return {path.removeprefix("_schema"): _with_hint(texts) for path, texts in by_path.items()}
    except errors.MessageTooLarge as error:
        return dict(error.details or {"": [error.message]})
    except TypeError as error:  # orjson: the value has no JSON form
        return {"metadata": [str(error)]}
    users = Counter(member["user_id"] for member in room.get("members", ()))
    twice = [user_id for user_id, times in users.items() if times > 1]
    return {"members": [f"{user_id} is named twice" for user_id in twice]} if twice else {}


def _with_hint(texts: list[str]) -> list[str]:
    return [f"{text} Quote it." if text == "Not a valid string." else text for text in texts]


def _declaration(room: ManifestRoom, default_whole: bool) -> RoomDeclaration:
    members = room.get("members")
    return RoomDeclaration(
        room["external_id"],
        {name: value for name, value in room.items() if name in DECLARED_FIELDS},
        None if members is None else tuple(MemberDeclaration(**member) for member in members),
        room["membership"] == "whole" if "membership" in room else default_whole,
    )


def _yaml_mistake(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line_number = mark.line + 1 if mark else 1
    return f"{line_number}: {getattr(error, 'problem', None) or error}"


def dump_room(external_id: str, room: CurrentRoom) -> str:
    """Return a room as YAML, as an item of `rooms` in a manifest."""
    declared: dict[str, Any] = {"external_id": external_id}
    declared |= {name: room.fields[name] for name in DECLARED_FIELDS if room.fields[name]}
    declared["members"] = [
        user_id if role == "member" else {"user_id": user_id, "role": role}
        for user_id, role in sorted(room.roles.items())
    ]
    text: str = yaml.safe_dump([declared], sort_keys=False, allow_unicode=True, width=100)
    return text


def indented_lines(text: str) -> Iterable[str]:
    """Yield the lines of `dump_room` as they stand under `rooms:`."""
    return ("  " + line for line in text.splitlines())
