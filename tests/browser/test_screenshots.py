"""The main views look as they did: desktop, telephone, light and dark."""

from __future__ import annotations

from pathlib import Path

from tests.browser.chromium import Chromium, Page
from tests.browser.screenshots import calm, colours, looks_as_expected
from tests.browser.session import (
    act,
    details,
    direct,
    group,
    online,
    opened,
    say,
    send_files,
    signed_in,
)
from tests.helpers.file_samples import png

ME, OTHER, THIRD = "grace.hopper", "ada.lovelace", "alan.turing"
"""Users of this test only: their names are in the pictures."""


async def test_views(chromium: Chromium, dev_url: str, tmp_path: Path) -> None:
    """Sign-in, no chats, a chat with all kinds of messages, its details, the list, the dialogue."""
    wrong: list[str] = []

    async def look(page: Page, name: str) -> None:
        wrong.append(await looks_as_expected(page, name))

    stranger = await chromium.open(f"{dev_url}/")
    await stranger.size(1280, 800)
    await calm(stranger)
    await stranger.until("document.querySelector('#sign-in')")
    await look(stranger, "desktop-sign-in")

    grace = await signed_in(chromium, dev_url, ME)
    ada = await signed_in(chromium, dev_url, OTHER)
    for page in (grace, ada):
        await page.size(1280, 800)
        await calm(page)
        await online(page)
    await grace.until("!document.querySelector('.skeleton').checkVisibility()")
    await look(grace, "desktop-no-chats")
    await grace.click("#new")
    await look(grace, "desktop-new-chat")
    await grace.click("dialog [aria-label=Close]")

    await a_life(grace, ada, tmp_path)
    for scheme in ("light", "dark"):
        await colours(grace, scheme)
        await look(grace, f"desktop-{scheme}")
    await grace.click("#details [data-action=close]")
    await grace.size(390, 844, touch=True)
    await grace.until("document.querySelector('#scroll').scrollTop > 0")
    for scheme in ("dark", "light"):
        await colours(grace, scheme)
        await look(grace, f"phone-chat-{scheme}")
    await details(grace)
    await look(grace, "phone-details")
    await grace.click("#details [data-action=close]")
    await act(grace, ".reply", "#messages li:nth-last-child(2)")
    await grace.click("#messages li:last-child .more")
    await look(grace, "phone-menu")
    await grace.press("Escape", 27)
    await grace.click("#back")
    await say(ada, "And the cake?")
    await grace.until("document.querySelector('#rooms .badge')?.textContent === '1'")
    await look(grace, "phone-list")
    assert not any(wrong), "\n".join(filter(None, wrong))


async def a_life(grace: Page, ada: Page, folder: Path) -> None:
    """Three chats: one with nobody there, a muted group, and one group with everything in it."""
    picture, table = folder / "engine.png", folder / "notes on the engine.csv"
    picture.write_bytes(png(640, 400))
    table.write_text("1,2,3\n" * 500)
    await direct(grace, THIRD)
    await say(grace, "Can machines think?")
    await grace.type("#compose textarea", "Or is it")
    await group(grace, "Night shift", THIRD)
    await details(grace)
    await grace.click("#mute")
    await grace.until("document.querySelector('#mute').textContent === 'Unmute'")
    await grace.click("#freeze")
    await grace.until("document.querySelector('#rooms .sign')")
    await group(grace, "Analytical engine", OTHER)
    await say(
        grace,
        "The *first* draft is at https://example.com/engine, please read it until Friday.",
        "Run `make engine` to see it move.",
    )
    await ada.click("#rooms li button")
    await opened(ada, "Analytical engine")
    await say(ada, "I have. The second table is off by one: its first row is counted as data.")
    await say(ada, "It is a small thing though, and the rest is beautiful.")
    await send_files(ada, picture)
    await ada.until("document.querySelector('#messages li:last-child .mark.read')")
    await grace.click("#messages li:last-child .tools .react")
    await act(grace, ".reply", "#messages li:nth-last-child(3)")
    await say(grace, "You are right, I will mend it.")
    await grace.type("#compose textarea", "The notes:")
    await send_files(grace, table)
    await details(grace)
    await grace.until("document.querySelector('#messages li:last-child .mark.read')")
    await grace.until("document.querySelector('#messages .picture img')?.complete")
    await grace.until("document.querySelector('#typing').textContent === ''")
