"""Members from a CSV file: one line per member of a room."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from marshmallow import RAISE, Schema, ValidationError

from rts_server import errors
from rts_server.protocol.fields import line, role, user
from rts_server.tools.cli.difference import MemberDeclaration, RoomDeclaration
from rts_server.tools.cli.manifest import MAX_REPORTED_ERRORS, ManifestError

DELIMITERS = ",;\t"
"""Separators of cells; that of a file is the most frequent one in its header."""


class MemberRowSchema(Schema):
    """The columns, in any order; role and name may be missing or empty."""

    class Meta:
        """Unknown columns are errors: they may be misspelt."""

        unknown = RAISE

    external_id = user(required=True)
    user_id = user(required=True)
    role = role(load_default="member")
    name = line(128)


def read_declarations(path: Path, *, whole: bool, create: bool) -> list[RoomDeclaration]:
    """Return a declaration for each room, in order of appearance.

    Raises ManifestError, which names each mistake by line.
    """
    rooms: dict[str, dict[str, MemberDeclaration]] = {}
    mistakes: list[str] = []
    for number, cells in _decoded_rows(path):
        try:
            row = MemberRowSchema().load(cells)
        except ValidationError as error:
            by_field = errors.details(error.messages)
            mistakes += [
                f"{path}:{number}: {name}: {' '.join(texts)}" for name, texts in by_field.items()
            ]
            continue
        room_id = row.pop("external_id")
        members = rooms.setdefault(room_id, {})
        if row["user_id"] in members:
            mistakes.append(f"{path}:{number}: {row['user_id']} is in room {room_id} twice")
        members[row["user_id"]] = MemberDeclaration(**row)
    if mistakes:
        raise ManifestError("\n".join(mistakes[:MAX_REPORTED_ERRORS]))
    return [
        RoomDeclaration(room_id, {}, tuple(members.values()), whole, create)
        for room_id, members in rooms.items()
    ]


def _decoded_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        yield from _rows(path)
    except UnicodeDecodeError:
        raise ManifestError(f"{path}: not UTF-8") from None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, cells that are not empty).

    utf-8-sig: spreadsheets write a byte order mark. They separate cells by a semicolon where the
    comma is the decimal separator, and by a tab when cells are copied.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = file.readline()
        file.seek(0)
        delimiter = max(DELIMITERS, key=header.count)
        reader = csv.DictReader(file, restkey="too many columns", delimiter=delimiter)
        for row in reader:
            yield reader.line_num, {name: text for name, text in row.items() if text}
