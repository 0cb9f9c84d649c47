"""A user on the page."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.async_api import BrowserContext, Page, TimeoutError, ViewportSize, expect

PHONE: ViewportSize = {"width": 390, "height": 844}

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


async def visit(context: BrowserContext, url: str) -> Page:
    """A new window with this address. Of many windows each counts as the focused one."""
    page = await context.new_page()
    await page.goto(url)
    return page


async def signed_in(context: BrowserContext, dev_url: str, user: str) -> Page:
    """A window of a user, focused, without a room that is open."""
    page = await context.new_page()
    await page.add_init_script(TOASTS_STAY)
    await page.goto(f"{dev_url}/?user={user}")
    await online(page)
    return page


async def until(page: Page, expression: str) -> None:
    """Wait until an expression is truthy; shows the page's text if it never is."""
    try:
        # A function, for the page's policy forbids to evaluate a text again and again; in ms, for a
        # tab that is not in front draws no frames.
        await page.wait_for_function(f"() => ({expression})", polling=50)
    except TimeoutError:
        text = await page.inner_text("body")
        raise AssertionError(f"{expression} is not so on this page:\n{text}") from None


async def frame(page: Page) -> None:
    """Wait until the page was drawn once more."""
    await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => drawn(null)))")


async def write(page: Page, selector: str, text: str, *, enter: bool = False) -> None:
    """Type into a field where its caret is, and press Enter behind it if wanted."""
    field = page.locator(selector).first
    await field.wait_for()
    await field.focus()
    await page.keyboard.insert_text(text)
    if enter:
        await page.keyboard.press("Enter")


async def upload_slowly(page: Page, bytes_per_second: int) -> None:
    """On this machine's loopback 20 MB are gone before a bar can be drawn."""
    devtools = await page.context.new_cdp_session(page)
    rates = {"downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    await devtools.send(
        "Network.emulateNetworkConditions", {"offline": False, "latency": 0, **rates}
    )


async def in_direct_room(context: BrowserContext, dev_url: str, names: tuple[str, str]) -> Page:
    """A window of the first user, in a new direct room with the second one."""
    page = await signed_in(context, dev_url, names[0])
    await direct(page, names[1])
    return page


async def in_group_details(context: BrowserContext, dev_url: str, names: tuple[str, str]) -> Page:
    """Return the first user's page with the details of a group of both open."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    await group(alice, "Team", bob_id)
    await details(alice)
    return alice


async def both_with_direct_room(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> tuple[Page, Page]:
    """A window of each user; the first has opened a new direct room of the two."""
    first = await signed_in(context, dev_url, names[0])
    second = await signed_in(context, dev_url, names[1])
    await direct(first, names[1])
    return first, second


async def cut(page: Page) -> None:
    """Take the network away, until the page says so."""
    await page.context.set_offline(True)
    await page.evaluate("dispatchEvent(new Event('offline'))")
    await expect(page.locator(".bar:visible")).to_have_count(1)


async def reconnect(page: Page) -> None:
    """Bring the network back, until the page is connected."""
    await page.context.set_offline(False)
    await page.evaluate("dispatchEvent(new Event('online'))")
    await expect(page.locator(".bar:visible")).to_have_count(0)
    await online(page)


async def online(page: Page) -> None:
    """Wait for the connection."""
    await expect(page.locator("#state")).to_have_text("Online")


async def direct(page: Page, user: str) -> None:
    """Start a chat with a user, and wait until it can be written in."""
    await page.click("#new")
    await write(page, "#new-direct input", user, enter=True)
    await opened(page, user)


async def group(page: Page, name: str, *members: str) -> None:
    """Start a group, and wait until it can be written in."""
    await page.click("#new")
    await write(page, "#new-group [name=name]", name)
    await write(page, "#new-group [name=members]", ", ".join(members), enter=True)
    await opened(page, name)


async def opened(page: Page, title: str) -> None:
    """Wait until the room of this title is open."""
    shown = f"document.querySelector('#title')?.textContent === {json.dumps(title)}"
    await until(page, f"{shown} && !document.querySelector('#attach').disabled")


async def say(page: Page, *texts: str) -> None:
    """Send messages, one after another, by Enter or, on a telephone, by the button."""
    for text in texts:
        is_phone = page.viewport_size == PHONE
        await write(page, "#compose textarea", text, enter=not is_phone)
        if is_phone:
            await page.click("#compose .send")


async def details(page: Page) -> None:
    """Open the details of the room."""
    await page.click("#details-button")
    await expect(page.locator("#details")).to_be_visible()


async def act(page: Page, action: str, row: str = "#messages li:last-child") -> None:
    """Choose from the menu of a message: `reply`, `edit`, `remove`, or another selector in it."""
    await use_tool(page, ".more", row)
    await page.click(f"#menu {action}")


async def use_tool(page: Page, tool: str, row: str = "#messages li:last-child") -> None:
    """Click one of the tools of a message, which show under the mouse."""
    await page.hover(f"{row} .bubble")
    await page.click(f"{row} .tools {tool}")


async def choose(page: Page, *paths: Path) -> None:
    """Choose files, as in the dialogue of the browser."""
    await page.set_input_files("#files", paths)


async def send_files(page: Page, *paths: Path) -> None:
    """Choose files and send them."""
    await choose(page, *paths)
    await expect(page.locator("#chosen .chip")).to_have_count(len(paths))
    await page.click("#compose .send")
