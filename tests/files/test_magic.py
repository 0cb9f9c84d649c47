"""First bytes against the type that was announced."""

from __future__ import annotations

import pytest

from rts_server.files import magic
from tests.helpers.file_samples import FILES

HTML = b"<html><script>alert(1)</script></html>"


@pytest.mark.parametrize("content_type", FILES)
def test_a_type_is_told_by_its_first_bytes(content_type: str) -> None:
    """A file is what it says only if it begins so: no page as a picture, no picture as another."""
    assert magic.fits(content_type, FILES[content_type][: magic.HEAD])
    assert not magic.fits(content_type, HTML)
    assert not magic.fits(content_type, b"")
    for other, content in FILES.items():
        assert magic.fits(content_type, content[: magic.HEAD]) == (other == content_type)


def test_only_the_five_are_shown_inline() -> None:
    """Everything else is downloaded: pages, drawings with script, and what nobody knows."""
    shown = {"image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4"}
    others = {"image/svg+xml", "text/html", "application/pdf", "text/xml", "application/x"}
    assert {one for one in FILES.keys() | others if magic.shown_inline(one)} == shown


def test_a_type_without_a_mark_may_begin_as_it_likes() -> None:
    """Text has no magic number; it is never shown inline."""
    assert magic.fits("text/plain", HTML)
