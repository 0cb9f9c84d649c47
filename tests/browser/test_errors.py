"""What goes wrong is told where it went wrong."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.session import (
    choose,
    cut,
    details,
    group,
    in_direct_room,
    in_group_details,
    opened,
    reconnect,
    say,
    signed_in,
    write,
)
from tests.helpers.commands import ok
from tests.helpers.world import World

NO_GROUP_NAME = "Enter a name for the group."
BAD_NAME = "A name has 1 to 128 letters (a to z), digits or signs, without spaces."


LONG_NAME = "At most 200 characters; this has 201."


async def refused(page: Page, field: str, said: str) -> None:
    """Assert that a field has the focus, is marked as wrong, and is described by a sentence."""
    await expect(page.locator(field)).to_be_focused()
    await expect(page.locator(field)).to_have_attribute("aria-invalid", "true")
    await expect(page.locator(field)).to_have_accessible_description(said)
    assert not await page.locator(".toast").count()


async def test_a_member_that_cannot_be_added_is_told_at_the_field(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """No name, one with a space, a member and the user: until something else is typed."""
    alice_id, bob_id = names
    alice = await in_group_details(context, dev_url, names)
    field = "#add-member input"
    for name, said in (
        ("", "Enter a name."),
        ("no name", BAD_NAME),
        (bob_id, f"{bob_id} is a member already."),
        (alice_id, "You are a member already."),
    ):
        await alice.fill(field, name)
        await alice.click("#add-member button")
        await refused(alice, field, said)
    await write(alice, field, "x")
    await expect(alice.locator(field)).to_have_accessible_description("")
    await expect(alice.locator("#add-member [role=alert]")).to_be_hidden()


async def test_a_group_is_renamed_to_a_name_only(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Blanks, no text, or too long: the field says what the dialogue for a new group says."""
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Team", names[1])
    await details(alice)
    for name, said in (("", NO_GROUP_NAME), ("  ", NO_GROUP_NAME), ("x" * 201, LONG_NAME)):
        await alice.fill("#rename input", name)
        await alice.click("#rename button")
        await refused(alice, "#rename input", said)
    await write(alice, "#rename input", "Team")
    await expect(alice.locator("#rename-error")).to_be_hidden()


async def test_a_new_chat_tells_at_its_field_what_is_wrong(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The user's own name, a group without a name, and a member that cannot be one."""
    alice = await signed_in(context, dev_url, names[0])
    await alice.click("#new")
    hints = alice.locator("dialog [placeholder]")
    shown = [await hint.get_attribute("placeholder") for hint in await hints.all()]
    assert shown == ["e.g. bob", "e.g. bob, carol"]  # nobody takes them for what is filled in
    for form, field, text, said in (
        ("direct", "user", "", "Enter a name."),
        ("direct", "user", names[0], "That is you. Enter the name of somebody else."),
        ("group", "name", "", NO_GROUP_NAME),
        ("direct", "user", "x" * 129, BAD_NAME),
        ("group", "name", "😀" * 201, LONG_NAME),
        ("group", "members", "no/näme", BAD_NAME),
    ):
        if field == "members":
            await alice.fill("#new-group [name=name]", "Team")
        await alice.fill(f"#new-{form} [name={field}]", text)
        await alice.click(f"#new-{form} .primary")
        await refused(alice, f"#new-{form} [name={field}]", said)
        await write(alice, f"#new-{form} [name={field}]", "x")
        await expect(alice.locator(f"#new-{form} .error:visible")).to_have_count(0)


async def test_a_text_that_is_refused_is_drawn_forwards_and_says_why(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """One with a control of direction: without that, in the chat and in the list."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "abc\u202edef")
    await expect(alice.locator("#messages .error > span")).to_have_text(
        "That was not accepted. Characters that control lines or direction are not allowed."
    )
    assert await alice.text_content("#messages li:last-child .bubble > p") == "abcdef"
    assert await alice.text_content("#rooms .preview") == " abcdef"
    await expect(alice.locator("#messages .discard")).to_have_attribute(
        "aria-label", "Discard, You: abcdef"
    )


async def test_a_text_that_came_too_late_says_that_the_chat_is_read_only(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """It was made so while there was no connection."""
    alice_id, bob_id = names
    bob = await signed_in(context, dev_url, bob_id)
    async with world.js(alice_id) as a:
        new = {"type": "group", "name": "Team", "client_room_id": str(uuid4())}
        made = await ok(a, "room.create", {**new, "members": [bob_id]})
        await bob.click("#rooms li button")
        await opened(bob, "Team")
        await cut(bob)
        await say(bob, "late")
        await ok(a, "room.update", {"room_id": made["room"]["room_id"], "frozen": True})
    await reconnect(bob)
    await expect(bob.locator("#messages .error > span")).to_have_text(
        "This chat is read-only for everybody."
    )


async def test_a_toast_of_an_error_looks_like_one(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """It has an icon and is an alert; one of a success has neither."""
    alice = await in_direct_room(context, dev_url, names)
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    await choose(alice, empty)
    toast = alice.locator(".toast").last
    await expect(toast).to_have_text("empty.png is empty.")
    await expect(toast).to_have_attribute("role", "alert")
    await expect(toast.locator("> .icon")).to_be_visible()
    await alice.keyboard.press("Escape")
    await details(alice)
    await alice.click("#hide")
    await expect(toast).to_contain_text("is hidden.")
    assert await toast.get_attribute("role") is None
    assert not await toast.locator("> .icon").count()
