"""A user on the page."""

from __future__ import annotations

import json
from pathlib import Path

from tests.browser.chromium import Chromium, Page

BELOW = (
    "(({scrollHeight, scrollTop, clientHeight}) =>"
    " Math.round(scrollHeight - scrollTop - clientHeight))"
    "(document.querySelector('#scroll'))"
)
"""How many pixels of the messages are below the view."""


TOASTS_STAY = """
const brief = window.setTimeout;
window.setTimeout = (act, ms, ...more) => brief(act, ms === 5000 ? 60000 : ms, ...more);
"""
"""A toast stays for a minute: on a slow machine 5 s are over before a test has looked."""


async def signed_in(chromium: Chromium, dev_url: str, user: str) -> Page:
    """A window of a user, focused, without a room that is open."""
    page = await chromium.open(f"{dev_url}/?user={user}")
    await page.call("Page.enable")
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=f"{{{TOASTS_STAY}}}")
    await page.js(f"{{{TOASTS_STAY}}}")
    # Of many windows each counts as the focused one: what is visible there is read.
    await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
    await online(page)
    return page


async def in_direct_room(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> Page:
    """A window of the first user, in a new direct room with the second one."""
    page = await signed_in(chromium, dev_url, names[0])
    await direct(page, names[1])
    return page


async def both_with_direct_room(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> tuple[Page, Page]:
    """A window of each user; the first has opened a new direct room of the two."""
    first = await signed_in(chromium, dev_url, names[0])
    second = await signed_in(chromium, dev_url, names[1])
    await direct(first, names[1])
    return first, second


async def online(page: Page) -> None:
    """Wait for the connection."""
    await page.until("document.querySelector('#state')?.textContent === 'Online'")


async def direct(page: Page, user: str) -> None:
    """Start a chat with a user, and wait until it can be written in."""
    await page.click("#new")
    await page.type("#new-direct input", user, enter=True)
    await opened(page, user)


async def group(page: Page, name: str, *members: str) -> None:
    """Start a group, and wait until it can be written in."""
    await page.click("#new")
    await page.type("#new-group [name=name]", name)
    await page.type("#new-group [name=members]", ", ".join(members), enter=True)
    await opened(page, name)


async def opened(page: Page, title: str) -> None:
    """Wait until the room of this title is open."""
    shown = f"document.querySelector('#title')?.textContent === {json.dumps(title)}"
    await page.until(f"{shown} && !document.querySelector('#compose textarea').disabled")


async def say(page: Page, *texts: str) -> None:
    """Send messages, one after another, by Enter or, on a telephone, by the button."""
    for text in texts:
        await page.type("#compose textarea", text, enter=not page.touch)
        if page.touch:
            await page.click("#compose .send")


async def details(page: Page) -> None:
    """Open the details of the room."""
    await page.click("#details-button")
    await page.until("document.querySelector('#details').checkVisibility()")


async def act(page: Page, action: str, row: str = "#messages li:last-child") -> None:
    """Choose from the menu of a message: `reply`, `edit`, `remove`, or another selector in it."""
    await page.click(f"{row} .more")
    await page.click(f"#menu {action}")


async def choose(page: Page, *paths: Path) -> None:
    """Choose files, as in the dialogue of the browser."""
    answer = await page.call("Runtime.evaluate", expression="document.querySelector('#files')")
    await page.call(
        "DOM.setFileInputFiles",
        files=[str(path) for path in paths],
        objectId=answer["result"]["objectId"],
    )


async def send_files(page: Page, *paths: Path) -> None:
    """Choose files and send them."""
    await choose(page, *paths)
    await page.until(f"document.querySelectorAll('#chosen .chip').length === {len(paths)}")
    await page.click("#compose .send")
