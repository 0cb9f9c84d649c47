"""The main views look as they did: desktop, telephone, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.screenshots import calm, looks_as_expected
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
    until,
    use_tool,
    visit,
    write,
)
from tests.helpers.file_samples import png

LIGHT_AND_DARK: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DRAFT = "Or is it"
"""Belongs to a device: the telephone has not that of the computer."""
ME, OTHER, THIRD = "grace.hopper", "ada.lovelace", "alan.turing"
"""Users of this test only: their names are in the pictures."""


async def test_views(
    context: BrowserContext, phone: BrowserContext, dev_url: str, tmp_path: Path
) -> None:
    """Sign-in, no chats, a chat with all kinds of messages, its details, the list, the dialogue."""
    wrong: list[str] = []

    async def look(page: Page, name: str) -> None:
        wrong.append(await looks_as_expected(page, name))

    stranger = await visit(context, f"{dev_url}/")
    await stranger.set_viewport_size({"width": 1280, "height": 800})
    await calm(stranger)
    await expect(stranger.locator("#sign-in")).to_be_attached()
    await look(stranger, "desktop-sign-in")

    grace = await signed_in(context, dev_url, ME)
    ada = await signed_in(context, dev_url, OTHER)
    for page in (grace, ada):
        await page.set_viewport_size({"width": 1280, "height": 800})
        await calm(page)
        await online(page)
    await expect(grace.locator(".skeleton").first).to_be_hidden()
    await look(grace, "desktop-no-chats")
    await grace.click("#new")
    await look(grace, "desktop-new-chat")
    await grace.click("dialog [aria-label=Close]")

    await a_life(grace, ada, tmp_path)
    for scheme in LIGHT_AND_DARK:
        await grace.emulate_media(color_scheme=scheme)
        await look(grace, f"desktop-{scheme}")
    await grace.close()  # or she would have read there what she reads on the telephone

    grace = await signed_in(phone, dev_url, ME)
    await calm(grace)
    await grace.click(f"#rooms li:has-text('{THIRD}') button")
    await opened(grace, THIRD)
    await write(grace, "#compose textarea", DRAFT)
    await grace.click("#back")
    await grace.click("#rooms li:first-child button")
    await opened(grace, "Analytical engine")
    await until(grace, "document.querySelector('#scroll').scrollTop > 0")
    for scheme in reversed(LIGHT_AND_DARK):
        await grace.emulate_media(color_scheme=scheme)
        await look(grace, f"phone-chat-{scheme}")
    await details(grace)
    await look(grace, "phone-details")
    await grace.click("#details [data-action=close]")
    await act(grace, ".reply", "#messages li:nth-last-child(2)")
    await use_tool(grace, ".more")
    # The driver scrolls to what it clicks, or not, as it is in view already by some pixels.
    await grace.evaluate("const one = document.querySelector('#scroll'); one.scrollTop = 1e6")
    await look(grace, "phone-menu")
    await grace.keyboard.press("Escape")
    await grace.click("#back")
    await say(ada, "And the cake?")
    await expect(grace.locator("#rooms .badge").first).to_have_text("1")
    await look(grace, "phone-list")
    assert not any(wrong), "\n".join(filter(None, wrong))


async def a_life(grace: Page, ada: Page, folder: Path) -> None:
    """Three chats: one with nobody there, a muted group, and one group with everything in it."""
    picture, table = folder / "engine.png", folder / "notes on the engine.csv"
    picture.write_bytes(png(640, 400))
    table.write_text("1,2,3\n" * 500)
    await direct(grace, THIRD)
    await say(grace, "Can machines think?")
    await write(grace, "#compose textarea", DRAFT)
    await group(grace, "Night shift", THIRD)
    await details(grace)
    await grace.click("#mute")
    await expect(grace.locator("#mute")).to_have_text("Unmute")
    await grace.click("#freeze")
    await expect(grace.locator("#rooms .sign").first).to_be_attached()
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
    await expect(ada.locator("#messages li:last-child .mark.read")).to_be_attached()
    await use_tool(grace, ".react")
    await act(grace, ".reply", "#messages li:nth-last-child(3)")
    await say(grace, "You are right, I will mend it.")
    await write(grace, "#compose textarea", "The notes:")
    await send_files(grace, table)
    await details(grace)
    await expect(grace.locator("#messages li:last-child .mark.read")).to_be_attached()
    await until(grace, "document.querySelector('#messages .picture img')?.complete")
    await until(grace, "document.querySelector('#typing').textContent === ''")
