"""Manifests: valid content, and how mistakes are reported."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.tools.cli.difference import CurrentRoom, MemberDeclaration, RoomDeclaration
from rts_server.tools.cli.manifest import (
    MAX_REPORTED_ERRORS,
    Manifest,
    ManifestError,
    dump_room,
    indented_lines,
)

EXAMPLE = Path(__file__).parents[3] / "docs" / "rooms.yaml"


def read(path: Path, text: str) -> list[RoomDeclaration]:
    """The rooms of a manifest with this text."""
    path.write_text(text)
    return list(Manifest(path))


def mistakes(path: Path, text: str) -> list[str]:
    """The reported lines, without the name of the file."""
    with pytest.raises(ManifestError) as caught:
        read(path, text)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a manifest."""
    return tmp_path / "rooms.yaml"


def test_only_given_fields_are_declared(path: Path) -> None:
    """Fields that the manifest omits are not declared; a string is a member of role `member`."""
    rooms = read(
        path,
        """
x-staff: &staff [{user_id: ann, role: owner}, bob]
rooms:
  - external_id: order-17
    name: Order 17
    members: *staff
  - {external_id: "18", membership: additive, frozen: true, members: []}
membership: whole
""",
    )
    ann, bob = MemberDeclaration("ann", "owner"), MemberDeclaration("bob")
    assert rooms == [
        RoomDeclaration("order-17", {"name": "Order 17"}, (ann, bob), True),
        RoomDeclaration("18", {"frozen": True}, (), False),
    ]


def test_the_header_may_follow_the_rooms(path: Path) -> None:
    """`membership` is the default of all rooms, also when it stands after them."""
    (room,) = read(path, "rooms: [{external_id: a}]\nmembership: additive")
    assert not room.whole


def test_yaml_1_1_words_are_strings(path: Path) -> None:
    """As in YAML 1.2, no, 017, 1:30 and a date are strings."""
    (room,) = read(
        path, "rooms: [{external_id: 017, name: no, metadata: {a: 1:30, b: 2026-01-01}}]"
    )
    assert room.external_id == "017"
    assert room.fields == {"name": "no", "metadata": {"a": "1:30", "b": "2026-01-01"}}


def test_mistakes_are_reported_by_line_and_room(path: Path) -> None:
    """All mistakes are reported together, each with its line and room."""
    reported = mistakes(
        path,
        """rooms:
  - external_id: a
    nmae: A
    members:
      - ann
      - {user_id: bob, role: king}
  - external_id: 18
  - name: B
  - external_id: c
    members: [ann, ann]
  - external_id: a
    type: direct
  - just a word
""",
    )
    numbers = [line.partition(": ")[0] for line in reported]
    assert numbers == ["3", "6", "7", "8", "10", "11", "12", "13"]
    roles = "Must be one of: owner, admin, member, readonly."
    assert "3: room a: nmae: Unknown field." in reported
    assert f"6: room a: members.1.role: {roles}" in reported
    assert "7: room without external_id: external_id: Not a valid string. Quote it." in reported
    assert "10: room c: members: ann is named twice" in reported
    assert "11: room a: declared twice" in reported


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rooms: [{external_id: a}, {\n", "2: did not find"),
        ("- external_id: a", "1: not a mapping"),
        ("rooms:\n  - external_id: a\n    external_id: b\n", "3: external_id is there twice"),
        ("rooms: {}", "1: room without external_id: "),
        ("romms: []", "1: romms: Unknown field."),
        ("membership: some", "1: membership: Must be one of: whole, additive."),
        ("rooms: [{external_id: a, metadata: {x: " + "9" * 30 + "}}]", "1: room a: metadata: W"),
        ("rooms: [!!binary QQ==]", "1: could not determine a constructor"),
        ("rooms: [!!python/object:os.system {}]", "1: could not determine a constructor"),
        ("rooms: [{external_id: a, metadata: {x: " + "x" * 5000 + "}}]", "1: room a: metadata: L"),
    ],
)
def test_an_invalid_file_is_reported_in_one_line(path: Path, text: str, message: str) -> None:
    """The line names the place and the reason."""
    (line,) = mistakes(path, text)
    assert line.startswith(message)


def test_reported_mistakes_are_limited(path: Path) -> None:
    """Of a thousand mistakes only the first twenty are reported."""
    assert len(mistakes(path, "rooms:\n" + "  - {}\n" * 1000)) == MAX_REPORTED_ERRORS


def test_an_empty_file_declares_no_rooms(path: Path) -> None:
    """A file without content, with comments only or with an empty list has no rooms."""
    assert read(path, "") == read(path, "# later\n") == read(path, "rooms: []") == []


def test_rooms_are_read_one_by_one(path: Path) -> None:
    """Iteration yields the first rooms of a long list, and the length is that of the list."""
    path.write_text("rooms:\n" + "".join(f"  - external_id: r{n}\n" for n in range(2_000)))
    manifest = Manifest(path)
    first = iter(manifest)
    assert [one.external_id for one in islice(first, 2)] == ["r0", "r1"]
    assert len(manifest) == 2_000


def test_the_documented_example_is_valid() -> None:
    """docs/rooms.yaml has a whole and an additive room."""
    one, other = Manifest(EXAMPLE)
    assert one.whole
    assert not other.whole
    assert {*one.fields} == {"name", "metadata"}


PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=8)
ID = st.from_regex("[!-~]{1,12}", fullmatch=True)
SMALL = st.integers(-(2**53) + 1, 2**53 - 1)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | SMALL
    | st.floats(allow_nan=False, allow_infinity=False).filter(
        lambda number: not number.is_integer() or abs(number) < 2**53
    )
    | PLAIN
    | st.sampled_from(["no", "1e5", "0x1", "~", "1_000", "<<", "=", "2026-01-01", "0o7"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=8,
)


@given(
    ID,
    st.dictionaries(PLAIN, JSON, max_size=3),
    st.dictionaries(ID, st.sampled_from(["owner", "member"])),
)
def test_an_exported_room_is_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory,
    external_id: str,
    metadata: dict[str, object],
    roles: dict[str, str],
) -> None:
    """A room that is dumped and read again is the same room, with any metadata."""
    current = CurrentRoom({"name": "N", "metadata": metadata, "frozen": True}, roles)
    text = "\n".join(["rooms:", *indented_lines(dump_room(external_id, current))])
    (room,) = read(tmp_path_factory.getbasetemp() / "exported.yaml", text)
    assert room.external_id == external_id
    assert dict(room.fields) == {k: v for k, v in current.fields.items() if v}
    assert {one.user_id: one.role for one in room.members or ()} == roles
