"""One browser for all tests, for each of them as good as new."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, ViewportSize, async_playwright, expect

from rts_chat import AsyncRestClient, sign_token
from tests.browser.package import environment, executable
from tests.browser.session import PHONE
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import World, free_port

VENDOR = Path(__file__).parents[2] / "web" / "vendor"
FLAGS = ("--disable-gpu", "--disable-quic")
SMALL_WINDOW: ViewportSize = {"width": 800, "height": 600}

expect.set_options(timeout=PATIENCE * 1000)


def pytest_pycollect_makeitem(name: str, obj: object) -> None:
    """Let all tests here have one event loop: Playwright lives in the one that began it."""
    if name.startswith("test_") and inspect.iscoroutinefunction(obj):
        pytest.mark.asyncio(loop_scope="session")(obj)


@pytest.fixture(scope="session")
def devtools_url() -> str:
    """Where a second connection reaches the browser: for a tab that is not held awake."""
    return f"http://127.0.0.1:{free_port()}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(devtools_url: str) -> AsyncIterator[Browser]:
    """The process, and Playwright's, which drives it."""
    program = executable()
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(
            executable_path=program,
            env={**environment(program)},
            args=[*FLAGS, f"--remote-debugging-port={devtools_url.rpartition(':')[2]}"],
            chromium_sandbox=False,
            # Of what Playwright wants: a bar takes its place from the page, as for most users.
            ignore_default_args=["--hide-scrollbars"],
        )


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A computer, without a memory of what other tests did."""
    async with await browser.new_context(viewport=SMALL_WINDOW) as new:
        new.set_default_timeout(PATIENCE * 1000)
        yield new


@pytest_asyncio.fixture(loop_scope="session")
async def phone(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A telephone, as new."""
    async with await browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True) as new:
        new.set_default_timeout(PATIENCE * 1000)
        yield new


@pytest.fixture
def names() -> tuple[str, str]:
    """Two users that no other test knows."""
    run = secrets.token_hex(4)
    return f"alice-{run}", f"bob-{run}"


@pytest_asyncio.fixture(loop_scope="session")
async def origin() -> AsyncIterator[str]:
    """The URL of an empty page that has the package and no other server's policy."""
    app = web.Application()

    async def empty(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>page</title>", content_type="text/html")

    app.router.add_get("/", empty)
    app.router.add_static("/", VENDOR)
    async with TestServer(app) as running:
        yield str(running.make_url("/"))


@pytest_asyncio.fixture(loop_scope="session")
async def operator(world: World) -> AsyncIterator[AsyncRestClient]:
    """REST at the same instance."""
    secret = world.stack.settings.jwt_secret
    token = sign_token(secret, sub="operator", scope="operator")
    async with AsyncRestClient(world.urls[0], token) as rest:
        yield rest
