"""Manifests: what they may say, and how what is wrong is named."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.cli.difference import Declared, Member, Present
from rts_server.cli.manifest import MOST_ERRORS, Manifest, Wrong, dumped, indented

EXAMPLE = Path(__file__).parents[2] / "docs" / "rooms.yaml"


def read(path: Path, text: str) -> list[Declared]:
    """The rooms of a manifest with this text."""
    path.write_text(text)
    return list(Manifest(path))


def wrong(path: Path, text: str) -> list[str]:
    """What is said of it, without the name of the file."""
    with pytest.raises(Wrong) as caught:
        read(path, text)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A place for a manifest."""
    return tmp_path / "rooms.yaml"


def test_a_room_says_what_is_to_be_and_no_more(path: Path) -> None:
    """Only what is declared is declared; a text alone is a plain member."""
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
    ann, bob = Member("ann", "owner"), Member("bob")
    assert rooms == [
        Declared("order-17", {"name": "Order 17"}, (ann, bob), True),
        Declared("18", {"frozen": True}, (), False),
    ]


def test_the_header_counts_wherever_it_stands(path: Path) -> None:
    """`membership` behind the rooms is that of rooms that say nothing else."""
    (room,) = read(path, "rooms: [{external_id: a}]\nmembership: additive")
    assert not room.whole


def test_words_are_words(path: Path) -> None:
    """YAML 1.2: no, 017, 1:30 and a date are texts, as whoever wrote them meant."""
    (room,) = read(
        path, "rooms: [{external_id: 017, name: no, metadata: {a: 1:30, b: 2026-01-01}}]"
    )
    assert room.external_id == "017"
    assert room.fields == {"name": "no", "metadata": {"a": "1:30", "b": "2026-01-01"}}


def test_what_is_wrong_is_named_by_line_and_room(path: Path) -> None:
    """Every mistake at once, each with its line and room."""
    said = wrong(
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
    numbers = [line.partition(": ")[0] for line in said]
    assert numbers == ["3", "6", "7", "8", "10", "11", "12", "13"]
    roles = "Must be one of: owner, admin, member, readonly."
    assert "3: room a: nmae: Unknown field." in said
    assert f"6: room a: members.1.role: {roles}" in said
    assert "7: room without external_id: external_id: Not a valid string. Quote it." in said
    assert "10: room c: members: ann is named twice" in said
    assert "11: room a: declared twice" in said


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_what_is_no_manifest(path: Path, text: str, said: str) -> None:
    """One line says where and why."""
    (line,) = wrong(path, text)
    assert line.startswith(said)


def test_not_more_than_a_screen_of_mistakes(path: Path) -> None:
    """A thousand wrong rooms are told by the first twenty."""
    assert len(wrong(path, "rooms:\n" + "  - {}\n" * 1000)) == MOST_ERRORS


def test_nothing_is_declared_by_nothing(path: Path) -> None:
    """An empty file has no rooms."""
    assert read(path, "") == read(path, "# later\n") == read(path, "rooms: []") == []


def test_rooms_are_read_one_by_one(path: Path) -> None:
    """The second of a million would be there before the third is looked at."""
    path.write_text("rooms:\n" + "".join(f"  - external_id: r{n}\n" for n in range(2_000)))
    manifest = Manifest(path)
    first = iter(manifest)
    assert [one.external_id for one in islice(first, 2)] == ["r0", "r1"]
    assert len(manifest) == 2_000


def test_the_example_is_a_manifest() -> None:
    """docs/rooms.yaml has two rooms that differ in what they declare."""
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
def test_what_is_exported_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    external_id: str,
    metadata: dict[str, object],
    roles: dict[str, str],
) -> None:
    """export, then the reader: the same room, whatever its metadata."""
    present = Present({"name": "N", "metadata": metadata, "frozen": True}, roles)
    text = "\n".join(["rooms:", *indented(dumped(external_id, present))])
    (room,) = read(tmp_path_factory.getbasetemp() / "exported.yaml", text)
    assert room.external_id == external_id
    assert dict(room.fields) == {k: v for k, v in present.fields.items() if v}
    assert {one.user_id: one.role for one in room.members or ()} == roles
