"""Files of a user are found page by page, however many a room has."""

from __future__ import annotations

from typing import Any

import pytest

from rts_server.config import Settings
from rts_server.files.store import ObjectStore
from rts_server.files.upload import pending_prefix
from rts_server.files.user_files import CONCURRENT_HEADS, UserFiles

PAGE = 50


@pytest.mark.parametrize("pages", [2, 20])
async def test_a_page_of_names_is_in_memory_at_once(
    monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """The next page is listed once the objects of the last one were looked at."""
    store = ObjectStore(Settings())
    listed: list[str] = []
    looked = most = 0

    def list_page(prefix: str, after: str) -> tuple[list[str], bool]:
        if prefix != pending_prefix("room"):
            return [], False
        page = [f"{prefix}{len(listed) + n:05}" for n in range(PAGE)]
        assert after == (listed[-1] if listed else "")
        listed.extend(page)
        return page, len(listed) < PAGE * pages

    async def head(key: str) -> None:
        nonlocal looked, most
        most = max(most, len(listed) - looked)
        looked += 1

    monkeypatch.setattr(store, "_list_page", list_page)
    monkeypatch.setattr(store, "head", head)
    nothing: Any = None
    assert await UserFiles(store, nothing).attachments("room", "alice") == []
    assert looked == PAGE * pages
    assert most <= PAGE + CONCURRENT_HEADS
    await store.close()
