"""Every view by axe-core (deque.com/axe), in light and dark, and by the keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.session import (
    act,
    choose,
    cut,
    details,
    frame,
    group,
    in_direct_room,
    say,
    send_files,
    signed_in,
    until,
    use_tool,
    visit,
    write,
)
from tests.helpers.file_samples import png
from tests.helpers.node import ensure_modules

Scheme = Literal["light", "dark"]
RUN = """
axe.run(document, {resultTypes: ['violations']}).then(({violations}) =>
  violations.map(({id, nodes}) =>
    [id, nodes.map(({html, failureSummary}) => [html, failureSummary])]))
"""


async def clean(page: Page) -> None:
    """Assert that axe-core finds nothing on a page as it is now, which has one main heading."""
    if not await page.evaluate("Boolean(window.axe)"):
        await page.evaluate((ensure_modules() / "node_modules/axe-core/axe.min.js").read_text())
    found = await page.evaluate(RUN)
    assert not found, found
    assert await page.get_by_role("heading", level=1).count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(
    scheme: Scheme,
    context: BrowserContext,
    phone: BrowserContext,
    dev_url: str,
    names: tuple[str, str],
    tmp_path: Path,
) -> None:
    """Sign-in, list, dialogue, room with all kinds of rows, menu, details, lightbox, telephone."""
    alice_id, bob_id = names
    page = await visit(context, f"{dev_url}/?user=has%20space")
    await expect(page.locator("#sign-in")).to_be_attached()
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await clean(page)

    picture = tmp_path / "holiday.png"
    picture.write_bytes(png(640, 360))
    alice = await signed_in(context, dev_url, alice_id)
    await alice.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await expect(alice.locator(".skeleton").first).to_be_hidden()
    await clean(alice)
    await alice.click("#new")
    await clean(alice)
    await alice.click("dialog [aria-label=Close]")
    await group(alice, "Team", bob_id)
    await say(alice, "hello *all* `code` https://example.com", "second", "third")
    await send_files(alice, picture)
    await expect(alice.locator("#messages li:last-child .mark.queued")).to_be_attached()
    await use_tool(alice, ".react", "#messages li:first-child")
    await act(alice, ".reply", "#messages li:nth-child(2)")
    await say(alice, "answer")
    await act(alice, ".remove", "#messages li:nth-child(3)")
    await expect(alice.locator("#messages .reactions .react").first).to_be_attached()
    await expect(alice.locator("#messages .quote").first).to_be_attached()
    await details(alice)
    await clean(alice)
    await alice.set_viewport_size({"width": 1280, "height": 800})  # the details beside the chat
    await use_tool(alice, ".more", "#messages li:first-child")
    await clean(alice)
    await alice.keyboard.press("Escape")
    await alice.click("#messages .picture")
    await expect(alice.locator("#lightbox")).to_be_attached()
    await clean(alice)
    await alice.keyboard.press("Escape")

    alice = await signed_in(phone, dev_url, alice_id)
    await alice.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await alice.click("#rooms li button")
    await details(alice)
    await clean(alice)
    await alice.click("#details [data-action=close]")
    await clean(alice)
    await use_tool(alice, ".more", "#messages li:first-child")
    await clean(alice)
    await alice.click("#menu .more-emoji")
    await clean(alice)
    await alice.keyboard.press("Escape")
    await alice.click("#back")
    await expect(alice.locator("#sidebar")).to_be_visible()
    await clean(alice)
    await alice.click("#own-menu summary")
    await clean(alice)
    await alice.keyboard.press("Escape")
    await cut(alice)
    await clean(alice)
    await alice.click("#rooms button")
    await clean(alice)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_any_state(
    scheme: Scheme,
    context: BrowserContext,
    dev_url: str,
    names: tuple[str, str],
    tmp_path: Path,
) -> None:
    """Toast, mentions, unread, divider and pill, signs, errors, nothing found, no connection."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await alice.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await say(bob, *(f"line {n}\n" * 6 for n in range(8)))
    # Not the text of the row, of which the clock is a part.
    last = "document.querySelector('#messages li:last-child p')?.textContent"
    await until(alice, f"{last}?.startsWith('line 7')")
    await until(alice, "!document.querySelector('#rooms .badge').textContent")  # all are read
    await alice.evaluate("document.querySelector('#scroll').scrollTop = 0")
    await frame(alice)
    await say(bob, "new to all")
    await expect(alice.locator("#pill.unread")).to_be_visible()
    await clean(alice)
    await alice.click("#pill")
    await expect(alice.locator("#messages .divider").first).to_be_attached()
    await write(alice, "#compose textarea", "@")
    await expect(alice.locator("#suggestions")).to_be_visible()
    await clean(alice)
    await alice.keyboard.press("Escape")
    await alice.keyboard.press("Backspace")

    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    await choose(alice, empty)
    await expect(alice.locator("#chosen .refused")).to_be_visible()
    await details(alice)
    await alice.click("#mute")
    await alice.click("#freeze")
    await write(alice, "#add-member input", bob_id, enter=True)
    await expect(alice.locator("#rooms .sign")).to_have_count(2)
    await expect(alice.locator("#add-member .error")).to_be_visible()
    await expect(alice.locator(".toast.failure").first).to_be_attached()
    await clean(alice)
    await write(alice, "#search", "nothing of this name")
    await expect(alice.locator("#no-rooms")).to_be_visible()
    await clean(alice)
    await alice.keyboard.press("Escape")
    await context.set_offline(True)
    await alice.evaluate("dispatchEvent(new Event('offline'))")
    await expect(alice.locator("#bar")).to_be_visible()
    await clean(alice)


async def test_the_page_can_be_used_by_keyboard(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A message is reached and answered by keys; focus comes back, and survives what arrives."""
    bob_id = names[1]
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "first", "second")
    await until(alice, "document.querySelector('#messages li:last-child .mark.queued')")
    focused = "document.activeElement"
    await alice.keyboard.press("ArrowUp")
    await expect(alice.locator("#banner")).to_contain_text("second")
    await alice.keyboard.press("Escape")
    await alice.focus("#scroll")
    await alice.keyboard.press("ArrowUp")
    await alice.keyboard.press("ArrowUp")
    assert "first" in await alice.evaluate(f"{focused}.innerText")
    bob = await signed_in(context, dev_url, bob_id)
    await bob.click("#rooms li button")
    await say(bob, "third")
    await expect(alice.locator("#announcer")).to_have_text(re.compile(r"third$"))
    assert "first" in await alice.evaluate(f"{focused}.innerText")
    await alice.keyboard.press("Enter")
    await until(alice, f"{focused}.closest('#menu')")
    await alice.keyboard.press("Escape")
    assert await alice.evaluate(f"{focused}.matches('li .more')")
    await alice.keyboard.press("Enter")
    await alice.evaluate("document.querySelector('#menu .reply')?.click()")
    await expect(alice.locator("#banner")).to_contain_text("first")
    assert await alice.evaluate(f"{focused}.matches('#compose textarea')")
