"""The page of the walk in docs/deployment.md, from another origin than the server's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from tests.browser.session import until, visit, write
from tests.helpers.world import World

ROOT = Path(__file__).parents[2]


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line per request."""

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@pytest.fixture
def laptop() -> Iterator[str]:
    """The origin of a server of the checkout, as `python3 -m http.server` is one."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(ROOT)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_two_phones_chat(
    world: World, context: BrowserContext, names: tuple[str, str], laptop: str, tmp_path: Path
) -> None:
    """Each with a token in its address, at a server that serves no page and allows the origin."""
    alice, bob = names
    environment = {"RTS_DEV": "", "RTS_CORS_ORIGINS": laptop}
    async with world.instance(tmp_path, **environment) as (_, url):
        phones = [
            await visit(
                context, f"{laptop}/docs/phone.html?server={url}&with={other}#{world.token(user)}"
            )
            for user, other in ((alice, bob), (bob, alice))
        ]
        for phone in phones:
            await expect(phone.locator("#connection")).to_have_text("online")
        for phone, text in zip(phones, ("hello", "hello yourself"), strict=True):
            await write(phone, "input", text, enter=True)
            for each in phones:
                await until(
                    each, f"document.querySelector('#messages')?.textContent.includes({text!r})"
                )
