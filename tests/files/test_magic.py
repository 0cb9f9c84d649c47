"""The first bytes of a file are checked against its content type."""

from __future__ import annotations

import pytest

from rts_server.files import magic
from tests.helpers.file_samples import FILES

HTML = b"<html><script>alert(1)</script></html>"


@pytest.mark.parametrize("content_type", FILES)
def test_a_type_is_checked_by_its_first_bytes(content_type: str) -> None:
    """A file must have the signature of its type: no page as a picture, no picture as another."""
    assert magic.matches_type(content_type, FILES[content_type][: magic.SIGNATURE_BYTES])
    assert not magic.matches_type(content_type, HTML)
    assert not magic.matches_type(content_type, b"")
    for other, content in FILES.items():
        assert magic.matches_type(content_type, content[: magic.SIGNATURE_BYTES]) == (
            other == content_type
        )


def test_only_five_types_are_shown_inline() -> None:
    """All other types are downloaded: pages, SVG drawings and unknown ones."""
    shown = {"image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4"}
    others = {"image/svg+xml", "text/html", "application/pdf", "text/xml", "application/x"}
    assert {one for one in FILES.keys() | others if magic.shown_inline(one)} == shown


def test_a_type_without_a_signature_is_not_checked() -> None:
    """Text has no signature; it is never shown inline."""
    assert magic.matches_type("text/plain", HTML)
