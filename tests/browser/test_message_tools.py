"""The tools and the menu of a message: of one message at a time, and only what may be done."""

from __future__ import annotations

from playwright.async_api import BrowserContext, Page, expect

from rts_chat import AsyncRestClient
from tests.browser.session import (
    act,
    group,
    in_direct_room,
    opened,
    say,
    signed_in,
    use_tool,
)

TOOLS = (
    "[...document.querySelectorAll('#messages .tools')]"
    ".filter((one) => getComputedStyle(one).opacity === '1')"
    ".map((one) => one.closest('li').querySelector('p').innerText)"
)
"""The messages whose tools can be seen."""


async def test_one_message_shows_its_tools(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """That of the mouse, and once a key leads, that of the focus: whichever was used last."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "one", "two", "three")
    await expect(alice.locator("#messages .mark.queued")).to_have_count(3)
    await use_tool(alice, ".more", "#messages li:has-text('one')")
    await alice.keyboard.press("Escape")
    await expect(alice.locator("#messages li:has-text('one') .more")).to_be_focused()
    await alice.hover("#messages li:has-text('three') .bubble")
    assert await alice.evaluate(TOOLS) == ["three"]
    await alice.focus("#messages li:has-text('one')")
    await alice.keyboard.press("ArrowDown")
    assert await alice.evaluate(TOOLS) == ["two"]
    await alice.keyboard.press("Tab")
    assert await alice.evaluate(TOOLS) == ["two"]
    await alice.hover("#messages li:has-text('one') .bubble")
    assert await alice.evaluate(TOOLS) == ["one"]
    await alice.hover("#compose textarea")
    assert await alice.evaluate(TOOLS) == ["two"]


async def in_a_group(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> tuple[Page, Page]:
    """A window of its owner and one of a member, who has the message `first` on the screen."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await say(alice, "first")
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await use_tool(alice, ".react")
    await expect(bob.locator("#messages .reactions .react")).to_have_count(1)
    return alice, bob


async def test_an_open_menu_does_not_offer_what_may_not_be_done_any_more(
    context: BrowserContext, dev_url: str, names: tuple[str, str], operator: AsyncRestClient
) -> None:
    """It stays where it is: of a reader's all but copying is disabled, of a deleted message all."""
    alice, bob = await in_a_group(context, dev_url, names)
    room_id = alice.url.rpartition("#")[2]
    await use_tool(bob, ".more")
    menu = bob.locator("#menu button")
    before = await menu.count()
    await operator.member_batch(room_id, update=[{"user_id": names[1], "role": "readonly"}])
    await expect(bob.locator("#menu button:enabled")).to_have_text(["Copy text"])
    await expect(bob.locator("#menu .copy")).to_be_focused()
    assert await menu.count() == before
    await act(alice, ".remove", "#messages li:has-text('first')")
    await alice.click(".toast [aria-label=Close]")
    await expect(bob.locator("#menu button:enabled")).to_have_count(0)
    await bob.keyboard.press("Escape")
    await expect(menu).to_have_count(0)


async def test_a_reader_is_offered_what_a_reader_may_do(
    context: BrowserContext, dev_url: str, names: tuple[str, str], operator: AsyncRestClient
) -> None:
    """Nobody is offered what the server would refuse: no reaction, no answer; one may copy."""
    alice, bob = await in_a_group(context, dev_url, names)
    room_id = alice.url.rpartition("#")[2]
    await operator.member_batch(room_id, update=[{"user_id": names[1], "role": "readonly"}])
    row = "#messages li:has-text('first')"
    await expect(bob.locator(f"{row} .reactions .react")).to_be_disabled()
    await expect(bob.locator(f"{row} .tools button")).to_have_count(1)
    await use_tool(bob, ".more", row)
    await expect(bob.locator("#menu button")).to_have_text(["Copy text"])
    await bob.keyboard.press("Escape")
    await operator.member_batch(room_id, update=[{"user_id": names[1], "role": "member"}])
    await expect(bob.locator(f"{row} .tools button")).to_have_count(3)
