"""The members of a group."""

from __future__ import annotations

from uuid import uuid4

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    cut,
    direct,
    group,
    in_group_details,
    online,
    opened,
    reconnect,
    say,
    signed_in,
    visit,
)
from tests.helpers.commands import ok
from tests.helpers.world import World


async def test_a_member_is_removed_after_a_question(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Cancel and Escape leave the member there; the button of the dialogue removes them."""
    _, bob_id = names
    alice = await in_group_details(context, dev_url, names)
    expel = f"#people [data-key='{bob_id}'] .expel"
    for leave in ("Cancel", "Escape"):
        await alice.click(expel)
        await expect(alice.locator("dialog h2")).to_have_text(f"Remove {bob_id}?")
        if leave == "Cancel":
            await alice.click("dialog :text('Cancel')")
        else:
            await alice.keyboard.press("Escape")
        await expect(alice.locator("dialog")).to_have_count(0)
        await expect(alice.locator(expel)).to_be_focused()
    await alice.click(expel)
    await alice.click("dialog .danger")
    await expect(alice.locator(expel)).to_have_count(0)
    await expect(alice.locator("#add-member input")).to_be_focused()


async def test_whoever_is_removed_is_told_of_which_chat(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Of the open one, which closes, and of any other; and whoever leaves knows it."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    for name in ("Garden", "Kitchen", "Attic"):
        await group(alice, name, bob_id)
    await bob.click("#rooms li:has-text('Garden') button")
    await opened(bob, "Garden")
    toast = bob.locator(".toast > span")
    for name in ("Kitchen", "Garden"):
        await alice.click(f"#rooms li:has-text('{name}') button")
        await opened(alice, name)
        if not await alice.is_visible("#details"):
            await alice.click("#details-button")
        await alice.click(f"#people [data-key='{bob_id}'] .expel")
        await alice.click("dialog .danger")
        await expect(toast.last).to_have_text(f"You are not a member of {name} any more.")
        assert await bob.is_visible("#room") is (name == "Kitchen")
    await bob.click("#rooms li:has-text('Attic') button")
    await bob.click("#details-button")
    await bob.click("#leave")
    await bob.click("#leave-form .danger")
    await expect(bob.locator("#rooms li")).to_have_count(0)
    await direct(bob, alice_id)
    await expect(toast).to_have_count(2)


async def test_the_address_of_a_chat_of_others_is_told_to_be_none(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Whoever follows a link into it was no member of it before."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    await group(alice, "Garden")
    room_id = await alice.evaluate("location.hash")
    bob = await visit(context, f"{dev_url}/?user={bob_id}{room_id}")
    await online(bob)
    await expect(bob.locator(".toast.failure > span")).to_have_text(
        "There is no such chat, or you are not a member of it."
    )
    await expect(bob.locator("#nothing")).to_be_visible()


async def test_what_was_not_sent_before_one_was_removed_is_told_and_can_be_copied(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """A toast leads to the texts, and so does signing out, also after a reload."""
    alice_id, bob_id = names
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    bob = await signed_in(context, dev_url, bob_id)
    async with world.js(alice_id) as a:
        new = {"type": "group", "name": "Team", "client_room_id": str(uuid4())}
        made = await ok(a, "room.create", {**new, "members": [bob_id]})
        await bob.click("#rooms li button")
        await opened(bob, "Team")
        await cut(bob)
        await say(bob, "one", "two")
        await expect(bob.locator("#messages .mark.sending")).to_have_count(2)
        await ok(a, "member.remove", {"room_id": made["room"]["room_id"], "user_ids": [bob_id]})
    await reconnect(bob)
    told = bob.locator(".toast.failure > span")
    await expect(told).to_have_text("2 messages to Team were not sent.")
    await bob.click(".toast.failure :text('Show')")
    texts = bob.locator("#not-sent article p")
    await expect(texts).to_have_text(["one", "two"])
    await bob.click("#not-sent article:has-text('two') [data-action=copy]")
    await expect(bob.locator("dialog [role=status]")).to_have_text("Copied.")
    assert await bob.evaluate("navigator.clipboard.readText()") == "two"
    await bob.click("#not-sent article:has-text('one') [data-action=discard]")
    await expect(texts).to_have_text(["two"])
    await bob.keyboard.press("Escape")
    await bob.reload()
    await expect(told).to_have_text("1 message to Team was not sent.")
    await bob.click("#own-menu summary")
    await bob.click("#sign-out")
    await expect(bob.locator("#sign-out-form p")).to_have_text(
        "1 message to Team was not sent. You are not a member of it any more."
    )
    await bob.click("#sign-out-form :text('Show')")
    await bob.click("#not-sent [data-action=discard]")
    await expect(bob.locator("dialog")).to_have_count(0)
    await bob.click("#own-menu summary")
    await bob.click("#sign-out")
    await expect(bob.locator("#sign-in")).to_be_visible()
