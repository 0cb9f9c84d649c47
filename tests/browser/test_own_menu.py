"""The menu of the signed-in user: presence, status, colours."""

from __future__ import annotations

from tests.browser.chromium import Chromium, Page
from tests.browser.session import details, direct, online, opened, signed_in

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


async def select(page: Page, field: str, value: str) -> None:
    """Choose from a list of the menu."""
    node = f"document.querySelector('{field}')"
    await page.js(
        f"{node}.value = '{value}'; {node}.dispatchEvent(new Event('change', {{bubbles: true}}))"
    )


async def test_colours_are_chosen(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """Light and dark hold over what the system has, and over a reload; then the system's again."""
    alice = await signed_in(chromium, dev_url, names[0])
    media = [{"name": "prefers-color-scheme", "value": "light"}]
    await alice.call("Emulation.setEmulatedMedia", features=media)
    light = await alice.js(BACKGROUND)
    await alice.click("#own-menu summary")
    await select(alice, "#theme", "dark")
    await alice.until(f"{BACKGROUND} !== '{light}'")
    dark = await alice.js(BACKGROUND)
    await alice.call("Page.reload")
    await online(alice)
    assert await alice.js(BACKGROUND) == dark
    assert await alice.js("document.querySelector('#theme').value") == "dark"
    await select(alice, "#theme", "system")
    await alice.until(f"{BACKGROUND} === '{light}'")


async def test_presence_and_status_are_seen(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Away and a status show to the user, in the chat and in the details; a status is cleared."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await direct(alice, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    about = "document.querySelector('#members').textContent"
    await bob.until(f"{about} === 'Online'")

    await alice.click("#own-menu summary")
    await select(alice, "#presence", "away")
    await bob.until(f"{about} === 'Away'")
    await alice.until("document.querySelector('#state').textContent === 'Away'")
    await alice.type("#status-form input", "in a meeting", enter=True)
    await bob.until(f"{about} === 'Away · in a meeting'")
    await alice.until("document.querySelector('#state').textContent === 'Away · in a meeting'")
    await alice.until("!document.querySelector('#own-menu').open")
    await details(bob)
    line = f"document.querySelector('#people [data-key=\"{alice_id}\"] small').textContent"
    await bob.until(f"{line} === 'Away · in a meeting'")

    await alice.call("Page.reload")
    await alice.until("document.querySelector('#status-form input')?.value === 'in a meeting'")
    await alice.click("#own-menu summary")
    await alice.js("document.querySelector('#status-form input').select()")
    await alice.press("Delete", 46)
    await alice.click("#status-form button")
    await select(alice, "#presence", "online")
    await bob.until(f"{about} === 'Online'")
