"""The Unicode rules: scripts and emoji are kept, characters that hide text are refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from rts_server.auth import verify
from rts_server.files.names import cleaned
from rts_server.protocol import commands, requests, unicode
from rts_server.tools.cli.manifest import ManifestRoomSchema
from tests.helpers.tokens import SETTINGS, signed

WRITTEN = {
    "family of joiners": "Family 👨‍👩‍👧",
    "flag of joiners": "🏴‍☠️ crew",
    "flag of tags": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "Persian with a non-joiner": "گروه می‌خواهم",
    "space that does not break": "10\u00a0000\u202f€",
    "ideographic space": "東京\u3000本社",
    "combining marks": "Zoë e\u0301",
    "soft hyphen": "Donau\u00addampf",
    "emoji newer than Python's tables": "\U0001fae8\U0001fae9",
    "heart with VS16": "❤\ufe0f",
}
REFUSED = {
    "NUL": "a\x00b",
    "escape": "a\x1b[0m",
    "NEL": "a\x85b",
    "DEL": "a\x7f",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "right-to-left override": "gpj.\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "right-to-left mark": "a\u200f",
    "Arabic letter mark": "\u061ca",
}
UNSEEN = {
    "spaces": "   ",
    "ideographic spaces": "\u3000\u00a0",
    "a joiner": "\u200d",
    "a non-joiner": "\u200c",
    "VS16": "\ufe0f",
    "a tag": "\U000e0067",
    "Hangul filler": "\u3164",
    "Braille without a dot": "\u2800",
    "byte order mark": "\ufeff",
}
PLACES = {
    "room.create": lambda v: commands.RoomCreateSchema().load(
        {"type": "group", "client_room_id": "g", "members": [], "name": v}
    ),
    "message.send": lambda v: commands.MessageSendSchema().load(
        {"room_id": "r", "client_msg_id": "m", "text": v}
    ),
    "presence.set": lambda v: commands.PresenceSetSchema().load(
        {"state": "online", "status_text": v}
    ),
    "PUT external room": lambda v: requests.ExternalRoomSchema().load(
        {"name": v, "members": [{"user_id": "a", "name": v}]}
    ),
    "POST message": lambda v: requests.NewMessageSchema().load({"text": v}),
    "manifest": lambda v: ManifestRoomSchema().load(
        {"external_id": "x", "name": v, "members": [{"user_id": "a", "name": v}]}
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_ordinary_text_of_any_script_is_accepted_in_every_field(place: str, written: str) -> None:
    """Commands, REST and manifests keep every name and text as it was written."""
    assert written in str(PLACES[place](written)) or repr(written)[1:-1] in str(
        PLACES[place](written)
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("written", [*REFUSED.values(), *UNSEEN.values()], ids=[*REFUSED, *UNSEEN])
def test_invisible_and_broken_characters_are_refused_in_every_field(
    place: str, written: str
) -> None:
    """Each by the error of its field."""
    with pytest.raises(ValidationError):
        PLACES[place](written)


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_token_and_a_file_keep_the_name(written: str) -> None:
    """The names of users and files follow the same rule."""
    assert verify(SETTINGS, signed(name=written)).name == written
    assert cleaned(f"{written}.pdf") == f"{written}.pdf"


@pytest.mark.parametrize("written", [*REFUSED.values(), *UNSEEN.values()])
def test_a_token_with_another_name_has_none(written: str) -> None:
    """The user connects without a name."""
    assert verify(SETTINGS, signed(name=written)).name is None


def test_a_text_has_lines_and_a_name_has_one() -> None:
    """Newline and tab are allowed in messages only."""
    assert PLACES["message.send"]("a\n\tb")["text"] == "a\n\tb"
    for place in ("room.create", "presence.set", "manifest"):
        for written in ("a\nb", "a\tb", "a\rb"):
            with pytest.raises(ValidationError):
                PLACES[place](written)


@given(st.text(max_size=30))
def test_characters_are_judged_by_their_unicode_category(written: str) -> None:
    """Cc, Zl, Zp, surrogates and Bidi_Control, by Unicode's own tables."""
    kinds = {unicodedata.category(c) for c in written}
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    marks = {"\u200e", "\u200f", "\u061c"}
    refused = bool(kinds & {"Cc", "Zl", "Zp", "Cs"}) or any(
        unicodedata.bidirectional(c) in directions or c in marks for c in written
    )
    assert unicode.fits_line(written) is not refused
    if kinds & {"Lu", "Ll", "Nd", "Po", "Sm", "Sc"}:
        assert unicode.is_visible(written)
    if kinds <= {"Cc", "Zs", "Zl", "Zp", "Cs"}:
        assert not unicode.is_visible(written)


@given(st.text(max_size=30))
def test_removed_characters_leave_the_rest_of_a_name(written: str) -> None:
    """Allowed characters stay, refused ones are removed."""
    left = unicode.remove_refused(written)
    assert unicode.fits_line(left)
    assert (left == written) is unicode.fits_line(written)


def react(emoji: str) -> str:
    """The key of a reaction."""
    asked = {"room_id": "r", "message_id": "m", "emoji": emoji, "on": True}
    return str(commands.MessageReactSchema().load(asked)["emoji"])


@pytest.mark.parametrize(
    "emoji", ["👍🏽", "👨‍👩‍👧", "\U0001fae9", "+1", "thumbs_up", "🇩🇪", WRITTEN["flag of tags"]]
)
def test_an_emoji_is_kept(emoji: str) -> None:
    """Sequences, flags and short names."""
    assert react(emoji) == emoji


def test_two_spellings_are_one_reaction() -> None:
    """VS16 only affects how an emoji is shown."""
    assert react("❤\ufe0f") == react("❤") == "❤"
    assert react("🏴‍☠️") == react("🏴‍☠")


@pytest.mark.parametrize(
    "emoji",
    [
        *sorted(unicode.RESERVED),
        *UNSEEN.values(),
        "a b",
        "a\u00a0b",
        "",
        "\ufe0f\ufe0f",
        "👍\u202e",
        "👍\n",
        "\u0301",
    ],
)
def test_a_reaction_that_is_no_emoji_is_refused(emoji: str) -> None:
    """Properties of objects, combining marks, spaces and control characters."""
    with pytest.raises(ValidationError):
        react(emoji)


@pytest.mark.parametrize("text", ["١٢", "1_0", " 5", "+5", "5.0", "５", "", "0x5"])
def test_a_number_in_a_query_has_ascii_digits(text: str) -> None:
    """Other digits that Python's int accepts are refused."""
    assert requests.PageSchema().load({"limit": "5"})["limit"] == 5
    with pytest.raises(ValidationError):
        requests.PageSchema().load({"limit": text})
    with pytest.raises(ValidationError):
        requests.EventPageSchema().load({"after": f"{text}:1"})
