"""File names are made harmless and survive in the download header."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.files.names import cleaned, disposition


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        (r"C:\Users\me\x.png", "x.png"),
        ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
        ("gpj.\u202egnp.exe", "gpj.gnp.exe"),
        ("..", "file"),
        ("folder/", "file"),
        (" \u200b ", "file"),
        ("می‌خواهم.pdf", "می‌خواهم.pdf"),
        ("Ärzte & Söhne 🎉.txt", "Ärzte & Söhne 🎉.txt"),
    ],
)
def test_a_name_is_cleaned(given: str, seen: str) -> None:
    """The last part of a path remains, without invisible characters, and is never empty."""
    assert cleaned(given) == seen


@given(st.text(min_size=1, max_size=255))
def test_cleaning_is_idempotent(name: str) -> None:
    """A cleaned name has no path and no control characters, and is no longer than before."""
    clean = cleaned(name)
    assert cleaned(clean) == clean
    assert not set(clean) & {"/", "\\"}
    assert {unicodedata.category(c) for c in clean}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert 0 < len(clean) <= max(len(name), len("file"))


@given(st.text(min_size=1, max_size=255).map(cleaned))
def test_the_header_contains_the_name(name: str) -> None:
    """The header is one line of ASCII that no name can break, and holds the whole name."""
    header = disposition(name, inline=False)
    assert header.isascii()
    assert header.isprintable()
    kind, plain, whole = header.split("; ", 1)[0], *header.split("; ", 1)[1].rsplit("; ", 1)
    assert kind == "attachment"
    assert plain.startswith('filename="')
    assert plain.endswith('"')
    assert not set(plain[10:-1]) & {'"', "\\"}
    assert unquote(whole.removeprefix("filename*=UTF-8''")) == name
