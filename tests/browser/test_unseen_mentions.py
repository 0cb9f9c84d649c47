"""A button that leads to where one is mentioned."""

from __future__ import annotations

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    BELOW,
    act,
    frame,
    group,
    opened,
    say,
    signed_in,
    until,
)
from tests.helpers.commands import ok
from tests.helpers.world import World

PILL = "#mentions-pill"
IN_VIEW = """
(text) => {
  const rows = [...document.querySelectorAll('#messages li')];
  const row = rows.find((one) => one.innerText.includes(text));
  const view = document.querySelector('#scroll').getBoundingClientRect();
  const {top, bottom} = row?.getBoundingClientRect() ?? {};
  return Boolean(row) && top < view.bottom && bottom > view.top;
}
"""


async def test_a_button_leads_to_each_mention_that_was_not_in_view(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """It counts them, also those above whoever went to the end at once, and goes with the last."""
    alice, bob = names
    async with world.js(alice) as a:
        group = {"type": "group", "name": "Team", "members": [bob], "client_room_id": "team"}
        room_id = (await ok(a, "room.create", group))["room"]["room_id"]
        for n in range(20):
            mentions = {"mentions": [bob]} if n in (0, 8, 14) else {}
            message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": f"number {n},\n" * 5}
            await ok(a, "message.send", {**message, **mentions})
    page = await signed_in(context, dev_url, bob)
    await page.click("#rooms li button")
    await opened(page, "Team")
    pill = page.locator(PILL)
    await expect(pill).to_have_text("@ 2")  # the first one is in view
    await expect(pill).to_have_accessible_name("2 messages name you. Show the next one")
    await page.click("#pill")
    await until(page, f"{BELOW} <= 1")
    await expect(pill).to_have_text("@ 2")
    for n, left in ((8, "@ 1"), (14, None)):
        await pill.click()
        assert await page.evaluate(IN_VIEW, f"number {n},")
        if left:
            await expect(pill).to_have_text(left)
        else:
            await expect(pill).to_be_hidden()
    assert await page.evaluate("document.activeElement.innerText.includes('number 14,')")


async def test_a_mention_that_arrives_is_counted_unless_it_is_in_view(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """At the end it is seen as it comes; further up the button counts it until it is deleted."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await say(alice, *(f"line {n}\n" * 8 for n in range(5)), f"at the end, @{bob_id}!")
    await until(bob, "document.querySelector('#messages li:last-child .mention.me')")
    await frame(bob)
    assert not await bob.is_visible(PILL)
    await bob.evaluate("document.querySelector('#scroll').scrollTop = 0")
    await say(alice, f"further down, @{bob_id}!")
    await expect(bob.locator(PILL)).to_have_text("@ 1")
    await act(alice, ".remove")
    await alice.click("#toasts [aria-label=Close]")
    await expect(bob.locator(PILL)).to_be_hidden()
