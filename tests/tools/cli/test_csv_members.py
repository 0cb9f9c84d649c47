"""Members from CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rts_server.tools.cli.csv_members import read_declarations
from rts_server.tools.cli.difference import MemberDeclaration, RoomDeclaration
from rts_server.tools.cli.manifest import MAX_REPORTED_ERRORS, ManifestError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a CSV file."""
    return tmp_path / "members.csv"


def test_lines_are_grouped_by_room(path: Path) -> None:
    """Rooms and members keep their order, empty cells are defaults, a byte order mark is fine."""
    path.write_text(
        "\ufeffuser_id,external_id,role,name\nann,r,owner,Ann\nbob,s,,\nbob,r,,\n", encoding="utf-8"
    )
    assert read_declarations(path, whole=True, create=False) == [
        RoomDeclaration(
            "r",
            {},
            (MemberDeclaration("ann", "owner", "Ann"), MemberDeclaration("bob")),
            whole=True,
            create=False,
        ),
        RoomDeclaration("s", {}, (MemberDeclaration("bob"),), whole=True, create=False),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_cells_are_separated_as_spreadsheets_do(path: Path, separator: str) -> None:
    """By comma, semicolon or tab, whichever the header has; the others are then text."""
    rows = [("external_id", "user_id", "name"), ("r", "ann", '"A,n;n"')]
    path.write_text("\n".join(map(separator.join, rows)) + "\n")
    (room,) = read_declarations(path, whole=False, create=False)
    assert room.members == (MemberDeclaration("ann", "member", "A,n;n"),)


def test_reported_mistakes_are_limited(path: Path) -> None:
    """Mistakes are reported by line, as many as fit on a screen."""
    path.write_text("external_id,user_id,role\n" + "r,ann,king\n" * 50)
    with pytest.raises(ManifestError) as caught:
        read_declarations(path, whole=False, create=False)
    lines = str(caught.value).splitlines()
    assert len(lines) == MAX_REPORTED_ERRORS
    assert lines[0].startswith(f"{path}:2: role: ")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("external_id,user_id\nr,ann\nr,ann\n", ":3: ann is in room r twice"),
        ("external_id,user_id,rol\nr,ann,owner\n", ":2: rol: Unknown field."),
        ("external_id,user_id\nr,ann,owner\n", ":2: too many columns: Unknown field."),
        ("external_id,user_id\nr,\n", ":2: user_id: "),
    ],
    ids=["a member twice", "an unknown column", "too many cells", "no user"],
)
def test_each_mistake_is_reported_by_line(path: Path, text: str, mistake: str) -> None:
    """A misspelt column or a shifted cell must not be dropped silently."""
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        read_declarations(path, whole=False, create=False)
    assert str(caught.value).startswith(f"{path}{mistake}")


def test_a_file_in_another_encoding_is_refused(path: Path) -> None:
    """Only UTF-8 is read."""
    path.write_bytes("external_id,user_id\nr,ann\n".encode("utf-16"))
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_declarations(path, whole=False, create=False)
