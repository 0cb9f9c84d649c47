"""The menu of the signed-in user: presence, status, colours."""

from __future__ import annotations

from playwright.async_api import BrowserContext, expect

from tests.browser.session import details, direct, online, opened, signed_in, until, write

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


async def test_colours_are_chosen(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Light and dark hold over what the system has, and over a reload; then the system's again."""
    alice = await signed_in(context, dev_url, names[0])
    await alice.emulate_media(color_scheme="light")
    light = await alice.evaluate(BACKGROUND)
    await alice.click("#own-menu summary")
    await alice.select_option("#theme", "dark")
    await until(alice, f"{BACKGROUND} !== '{light}'")
    dark = await alice.evaluate(BACKGROUND)
    await alice.reload()
    await online(alice)
    assert await alice.evaluate(BACKGROUND) == dark
    assert await alice.input_value("#theme") == "dark"
    await alice.click("#own-menu summary")
    await alice.select_option("#theme", "system")
    await until(alice, f"{BACKGROUND} === '{light}'")


async def test_presence_and_status_are_seen(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Away and a status show to the user, in the chat and in the details; a status is cleared."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await direct(alice, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    await expect(bob.locator("#members")).to_have_text("Online")

    await alice.click("#own-menu summary")
    await alice.select_option("#presence", "away")
    await expect(bob.locator("#members")).to_have_text("Away")
    await expect(alice.locator("#state")).to_have_text("Away")
    await write(alice, "#status-form input", "in a meeting", enter=True)
    await expect(bob.locator("#members")).to_have_text("Away · in a meeting")
    await expect(alice.locator("#state")).to_have_text("Away · in a meeting")
    await until(alice, "!document.querySelector('#own-menu').open")
    await details(bob)
    line = f"document.querySelector('#people [data-key=\"{alice_id}\"] small').textContent"
    await until(bob, f"{line} === 'Away · in a meeting'")

    await alice.reload()
    await expect(alice.locator("#status-form input").first).to_have_value("in a meeting")
    await alice.click("#own-menu summary")
    await alice.fill("#status-form input", "")
    await alice.click("#status-form button")
    await alice.click("#own-menu summary")
    await alice.select_option("#presence", "online")
    await expect(bob.locator("#members")).to_have_text("Online")


async def test_keys_lead_through_the_menu(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Arrows, Home and End where no field uses them; Escape closes it wherever the focus is."""
    alice = await signed_in(context, dev_url, names[0])
    summary = alice.locator("#own-menu summary")
    await summary.focus()
    await alice.keyboard.press("Enter")
    for key, at in (
        ("End", "#sign-out"),
        ("ArrowUp", "#second"),
        ("ArrowDown", "#sign-out"),
        ("ArrowDown", "#own-menu summary"),
        ("ArrowDown", "#presence"),
    ):
        await alice.keyboard.press(key)
        await expect(alice.locator(at)).to_be_focused()
    await alice.focus("#sign-out")
    await alice.keyboard.press("Home")
    await expect(summary).to_be_focused()
    await alice.focus("#search")
    await alice.keyboard.press("Escape")
    await until(alice, "!document.querySelector('#own-menu').open")
    await expect(summary).to_be_focused()
