"""The starters of examples/: two people chat, in pages of another origin than the server's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import BrowserContext, Page

from tests.browser.session import until, visit, write
from tests.helpers.chat_package import CLIENT
from tests.helpers.node import ensure_modules, node
from tests.helpers.waiting import eventually
from tests.helpers.world import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
STARTERS = ("typescript", "react", "angular")
MOST_LINES = 60


@pytest.fixture(scope="module")
def examples() -> Path:
    """The folder, with its packages and today's rts-chat installed."""
    installed = ensure_modules(EXAMPLES) / "node_modules" / "rts-chat"
    for name in ("package.json", "types.d.ts"):
        shutil.copy(CLIENT / name, installed / name)
    tsc(CLIENT, "-p", "tsconfig.build.json", "--outDir", str(installed / "dist"))
    return EXAMPLES


def tsc(folder: Path, *arguments: str) -> None:
    """Run the TypeScript compiler; it must succeed."""
    program = ensure_modules(CLIENT) / "node_modules" / "typescript" / "bin" / "tsc"
    command = [node(), str(program), *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


@contextmanager
def development_server(folder: Path, chat_url: str) -> Iterator[str]:
    """Vite, as `npm run dev` starts it; yield its URL."""
    port = free_port()
    vite = folder.parent / "node_modules" / "vite" / "bin" / "vite.js"
    process = subprocess.Popen(
        [node(), str(vite), "--host", "127.0.0.1", "--port", str(port), "--strictPort", "--force"],
        cwd=folder,
        env=os.environ | {"VITE_CHAT_URL": chat_url},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def opened(context: BrowserContext, url: str, user: str) -> Page:
    """The page of a user, once Vite serves it."""

    async def serves() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await eventually(serves)
    page = await visit(context, f"{url}/?user={user}")
    await shows(page, "#unread", "0")
    return page


async def shows(page: Page, selector: str, *texts: str) -> None:
    """Wait until an element has all these texts."""
    shown = f"document.querySelector({json.dumps(selector)})?.textContent"
    await until(page, " && ".join(f"{shown}?.includes({json.dumps(text)})" for text in texts))


@pytest.mark.parametrize("starter", STARTERS)
async def test_two_people_chat(
    examples: Path, starter: str, context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """List, room, send, unread, receipts, typing and presence, over CORS."""
    alice, bob = (f"{starter}-{user}" for user in names)
    with development_server(examples / starter, dev_url) as url:
        hers, his = await asyncio.gather(opened(context, url, alice), opened(context, url, bob))
        await write(hers, "#start input", bob, enter=True)
        await shows(hers, "#title", bob)
        await shows(hers, "#rooms", bob, "online")
        await write(hers, "#compose input", "hello", enter=True)
        await shows(hers, "#messages li", f"{alice}: hello", "delivered")
        await shows(his, "#rooms", alice, "(1)", "online")
        await shows(his, "#unread", "1")
        await his.click("#rooms button")
        await shows(his, "#messages li", f"{alice}: hello")
        await shows(his, "#unread", "0")
        await shows(hers, "#messages li", "read")
        await write(his, "#compose input", "hi")
        await shows(hers, "#title", "typing…")
        await write(his, "#compose input", "!", enter=True)
        await shows(hers, "#messages li:last-child", f"{bob}: hi!")
        # What comes while the window has no focus stays unread until it has.
        await his.evaluate("document.hasFocus = () => false")
        await write(hers, "#compose input", "still there?", enter=True)
        await shows(his, "#messages li:last-child", f"{alice}: still there?")
        await shows(his, "#unread", "1")
        await his.evaluate("delete document.hasFocus; dispatchEvent(new Event('focus'))")
        await shows(his, "#unread", "0")


@pytest.mark.parametrize("starter", STARTERS)
def test_a_starter_is_short_and_its_types_are_right(examples: Path, starter: str) -> None:
    """What somebody reads before they write their own."""
    files = [*(examples / starter / "src").iterdir()]
    assert sum(file.read_text().count("\n") for file in files) <= MOST_LINES
    tsc(examples / starter, "-p", ".")
