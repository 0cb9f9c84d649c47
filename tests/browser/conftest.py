"""One browser for all tests, for each of them as good as new."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.browser.chromium import Browser, Chromium
from tests.browser.package import executable


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The process."""
    running = Browser(executable(), tmp_path_factory.mktemp("browser"))
    yield running
    running.end()


@pytest.fixture
async def chromium(browser: Browser) -> AsyncIterator[Chromium]:
    """Without a memory of what other tests did."""
    async with Chromium(browser) as new:
        yield new


@pytest.fixture
def names() -> tuple[str, str]:
    """Two users that no other test knows."""
    run = secrets.token_hex(4)
    return f"alice-{run}", f"bob-{run}"
