"""Every view by axe-core (deque.com/axe), in light and dark, and by the keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import Chromium, Page
from tests.browser.session import (
    act,
    details,
    group,
    in_direct_room,
    say,
    send_files,
    signed_in,
)
from tests.helpers.file_samples import png
from tests.helpers.node import ensure_modules

RUN = """
axe.run(document, {resultTypes: ['violations']}).then(({violations}) =>
  violations.map(({id, nodes}) =>
    [id, nodes.map(({html, failureSummary}) => [html, failureSummary])]))
"""


async def clean(page: Page) -> None:
    """Assert that axe-core finds nothing on a page as it is now."""
    if not await page.js("Boolean(window.axe)"):
        await page.js((ensure_modules() / "node_modules/axe-core/axe.min.js").read_text())
    found = await page.promise(RUN)
    assert not found, found


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(
    scheme: str, chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Sign-in, list, dialogue, room with all kinds of rows, menu, details, lightbox, telephone."""
    alice_id, bob_id = names
    page = await chromium.open(f"{dev_url}/?user=has%20space")
    await page.until("document.querySelector('#sign-in')")
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    media.append({"name": "prefers-reduced-motion", "value": "reduce"})
    await page.call("Emulation.setEmulatedMedia", features=media)
    await clean(page)

    picture = tmp_path / "holiday.png"
    picture.write_bytes(png(640, 360))
    alice = await signed_in(chromium, dev_url, alice_id)
    await alice.call("Emulation.setEmulatedMedia", features=media)
    await alice.until("!document.querySelector('.skeleton').checkVisibility()")
    await clean(alice)
    await alice.click("#new")
    await clean(alice)
    await alice.click("dialog [aria-label=Close]")
    await group(alice, "Team", bob_id)
    await say(alice, "hello *all* `code` https://example.com", "second", "third")
    await send_files(alice, picture)
    await alice.until("document.querySelector('#messages li:last-child .mark.queued')")
    await alice.click("#messages .tools .react")
    await act(alice, ".reply", "#messages li:nth-child(2)")
    await say(alice, "answer")
    await act(alice, ".remove", "#messages li:nth-child(3)")
    await alice.until("document.querySelector('#messages .reactions .react')")
    await alice.until("document.querySelector('#messages .quote')")
    await details(alice)
    await clean(alice)
    await alice.click("#messages .more")
    await clean(alice)
    await alice.press("Escape", 27)
    await alice.click("#messages .picture")
    await alice.until("document.querySelector('#lightbox')")
    await clean(alice)
    await alice.press("Escape", 27)
    await alice.size(390, 844, touch=True)
    await alice.until("document.querySelector('#details').checkVisibility()")
    await clean(alice)
    await alice.click("#details [data-action=close]")
    await clean(alice)
    await alice.click("#messages .more")
    await clean(alice)
    await alice.click("#menu .more-emoji")
    await clean(alice)
    await alice.press("Escape", 27)
    await alice.click("#back")
    await alice.until("document.querySelector('#sidebar').checkVisibility()")
    await clean(alice)
    await alice.click("#own-menu summary")
    await clean(alice)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_any_state(
    scheme: str, chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Toast, mentions, unread, divider and pill, signs, read-only, nothing found, no connection."""
    alice_id, bob_id = names
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    media.append({"name": "prefers-reduced-motion", "value": "reduce"})
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await alice.call("Emulation.setEmulatedMedia", features=media)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await say(bob, *(f"line {n}\n" * 6 for n in range(8)))
    # Not the text of the row, of which the clock is a part.
    last = "document.querySelector('#messages li:last-child p')?.textContent"
    await alice.until(f"{last}?.startsWith('line 7')")
    await alice.until("!document.querySelector('#rooms .badge').textContent")  # all are read
    await alice.js("document.querySelector('#scroll').scrollTop = 0")
    await alice.frame()
    await say(bob, "new to all")
    await alice.until("document.querySelector('#pill.unread')?.checkVisibility()")
    await clean(alice)
    await alice.click("#pill")
    await alice.until("document.querySelector('#messages .divider')")
    await alice.type("#compose textarea", "@")
    await alice.until("document.querySelector('#suggestions').checkVisibility()")
    await clean(alice)
    await alice.press("Escape", 27)
    await alice.press("Backspace", 8)

    await details(alice)
    await alice.click("#mute")
    await alice.click("#freeze")
    await alice.type("#add-member input", bob_id, enter=True)
    await alice.until("document.querySelectorAll('#rooms .sign').length === 2")
    await alice.until("document.querySelector('.toast')")
    await clean(alice)
    await alice.type("#search", "nothing of this name")
    await alice.until("document.querySelector('#no-rooms').checkVisibility()")
    await clean(alice)
    await alice.press("Escape", 27)
    await alice.call("Network.enable")
    away = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await alice.call("Network.emulateNetworkConditions", **away)
    await alice.js("dispatchEvent(new Event('offline'))")
    await alice.until("document.querySelector('#bar').checkVisibility()")
    await clean(alice)


async def test_the_page_can_be_used_by_keyboard(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A message is reached and answered by keys; focus comes back, and survives what arrives."""
    bob_id = names[1]
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "first", "second")
    await alice.until("document.querySelector('#messages li:last-child .mark.queued')")
    focused = "document.activeElement"
    await alice.press("ArrowUp", 38)
    await alice.until("document.querySelector('#banner')?.innerText.includes('second')")
    await alice.press("Escape", 27)
    await alice.js("document.querySelector('#scroll').focus()")
    await alice.press("ArrowUp", 38)
    await alice.press("ArrowUp", 38)
    assert "first" in await alice.js(f"{focused}.innerText")
    bob = await signed_in(chromium, dev_url, bob_id)
    await bob.click("#rooms li button")
    await say(bob, "third")
    await alice.until("document.querySelector('#announcer').textContent.endsWith('third')")
    assert "first" in await alice.js(f"{focused}.innerText")
    await alice.press("Enter", 13)
    await alice.until(f"{focused}.closest('#menu')")
    await alice.press("Escape", 27)
    assert await alice.js(f"{focused}.matches('li .more')")
    await alice.press("Enter", 13)
    await alice.js("document.querySelector('#menu .reply')?.click()")
    await alice.until("document.querySelector('#banner')?.innerText.includes('first')")
    assert await alice.js(f"{focused}.matches('#compose textarea')")
