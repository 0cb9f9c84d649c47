"""Members out of a CSV file: one line, one member of one room."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from marshmallow import RAISE, Schema, ValidationError

from rts_server import errors
from rts_server.protocol.fields import line, role, user
from rts_server.tools.cli.difference import Declared, Member
from rts_server.tools.cli.manifest import MOST_ERRORS, Wrong


class Row(Schema):
    """The columns, in any order; role and name may be missing or empty."""

    class Meta:
        """A misspelt column is a mistake."""

        unknown = RAISE

    external_id = user(required=True)
    user_id = user(required=True)
    role = role(load_default="member")
    name = line(128)


def read(path: Path, *, whole: bool, create: bool) -> list[Declared]:
    """A declaration for each room, in order of appearance. Raises Wrong with line and reason."""
    rooms: dict[str, dict[str, Member]] = {}
    said: list[str] = []
    for number, given in _decoded(path):
        try:
            row = Row().load(given)
        except ValidationError as error:
            told = errors.details(error.messages)
            said += [f"{path}:{number}: {at}: {' '.join(texts)}" for at, texts in told.items()]
            continue
        room_id = row.pop("external_id")
        members = rooms.setdefault(room_id, {})
        if row["user_id"] in members:
            said.append(f"{path}:{number}: {row['user_id']} is in room {room_id} twice")
        members[row["user_id"]] = Member(**row)
    if said:
        raise Wrong("\n".join(said[:MOST_ERRORS]))
    return [
        Declared(room_id, {}, tuple(members.values()), whole, create)
        for room_id, members in rooms.items()
    ]


def _decoded(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        yield from _rows(path)
    except UnicodeDecodeError:
        raise Wrong(f"{path}: not UTF-8") from None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, what is not empty); spreadsheets write a byte order mark."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restkey="too many columns")
        for row in reader:
            yield reader.line_num, {name: text for name, text in row.items() if text}
