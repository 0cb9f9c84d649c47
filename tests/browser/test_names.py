"""Users are shown by their names, and everything has a name for screen readers."""

from __future__ import annotations

import json
import re

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    act,
    direct,
    group,
    in_group_details,
    opened,
    say,
    signed_in,
    until,
    use_tool,
    write,
)
from tests.helpers.rest import Rest
from tests.helpers.world import World

LAST = "document.querySelector('#messages li:last-child')"


async def test_a_new_name_is_shown_wherever_the_id_was(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """In lists, titles, mentions and the line about who types, and to the user themself."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await direct(alice, bob_id)
    await group(alice, "Team", bob_id)
    await say(alice, f"for @{bob_id} there")
    await alice.click("#rooms li:last-child button")
    await opened(alice, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await say(bob, "here")
    titles = "[...document.querySelectorAll('#rooms .title')].map((one) => one.textContent)"
    said = "document.querySelector('#rooms .preview').textContent"
    await until(alice, f"{said} === {json.dumps(f'{bob_id}: here')}")

    async with Rest(world.urls[0], world.token("ops", scope="operator")) as ops:
        await ops.ok("PATCH", f"/v1/users/{bob_id}", {"name": "Bob B."})
    await until(alice, f"{titles}.join() === 'Team,Bob B.' && {said} === 'Bob B.: here'")
    await opened(alice, "Bob B.")
    await expect(bob.locator("#me")).to_have_text("Bob B.")
    await alice.click("#rooms li button")
    await opened(alice, "Team")
    await expect(alice.locator(".mention").first).to_have_text("@Bob B.")
    await until(alice, f"{LAST}.querySelector('.bubble .name').textContent === 'Bob B.'")
    await write(bob, "#compose textarea", "typing")
    await until(alice, "document.querySelector('#typing').textContent === 'Bob B. is typing …'")
    await write(alice, "#compose textarea", "@")
    await expect(alice.locator("#suggestions li").first).to_have_text(re.compile(r"Bob B\.$"))
    await alice.keyboard.press("Escape")
    await act(alice, ".reply")
    await expect(alice.locator("#banner strong").first).to_contain_text("Bob B.")


async def test_everything_has_a_name_that_says_what_it_is(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Rows of the list, avatars, ticks, times, reactions, quotes and the buttons of the headers."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await direct(alice, bob_id)
    await say(alice, "hello")
    tick = alice.locator("#messages .mark").first
    await expect(tick).to_have_accessible_name(re.compile(rf"^(Sent\. |Delivered to {bob_id}\.)"))
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    await expect(tick).to_have_accessible_name(f"Read by {bob_id}.")
    await expect(alice.locator("#room > header .avatar").first).to_have_accessible_name(
        f"Picture of {bob_id}: Online"
    )
    await expect(alice.locator("#details-button")).to_have_accessible_name(f"Details of {bob_id}")
    await expect(alice.locator("#own-menu summary")).to_have_accessible_name(
        "Your presence, status and colours"
    )
    assert re.search(r"\bat\s+\d+:\d\d", await alice.inner_text("#messages .foot") or "")
    await use_tool(bob, ".react")
    reaction = alice.locator("#messages .reactions button").first
    await expect(reaction).to_have_accessible_name(f"👍 1, from {bob_id}")
    await act(bob, ".reply")
    await say(bob, "hello too")
    await expect(alice.locator("#messages .quote").first).to_have_accessible_name(
        "Answer to You: hello. Show that message"
    )

    await group(alice, "Elsewhere")
    await say(bob, "one", "two")
    row = alice.locator("#rooms li", has_text=bob_id).locator("button")
    await expect(row).to_have_accessible_name(
        re.compile(
            rf"^{bob_id}, Online, 2 unread messages,"
            rf" last message from {bob_id}, two, at \d+:\d\d [AP]M$"
        )
    )


async def test_the_history_tells_who_changed_the_chat(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A new owner, another role, another name, read-only and not: the same after a reload."""
    alice_id, bob_id = names
    alice = await in_group_details(context, dev_url, names)
    bob = await signed_in(context, dev_url, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    role = f"#people [data-key='{bob_id}'] select"
    lines = bob.locator("#messages .sentence")
    said = []

    async def line(text: str) -> None:
        said.append(text)
        await expect(lines).to_have_text(said)
        await expect(bob.locator("#announcer")).to_have_text(text)

    await alice.select_option(role, "readonly")
    await line(f"{alice_id} made you a reader")
    await alice.select_option(role, "owner")
    await line(f"{alice_id} made you an owner")
    await alice.fill("#rename input", "Choir")
    await alice.click("#rename button")
    await line(f"{alice_id} named the chat Choir")
    await alice.click("#freeze")
    await line(f"{alice_id} made the chat read-only")
    await alice.click("#freeze")
    await line(f"{alice_id} let members write again")
    await bob.reload()
    await expect(lines).to_have_text(said)
    assert not await bob.locator("#rooms .badge").inner_text()
