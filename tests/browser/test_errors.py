"""What goes wrong is told where it went wrong."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.session import (
    choose,
    details,
    group,
    in_direct_room,
    in_group_details,
    signed_in,
    write,
)

BAD_NAME = "A name has 1 to 128 letters (a to z), digits or signs, without spaces."


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
        ("", BAD_NAME),
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


async def test_a_group_is_not_renamed_to_nothing(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Blanks and no text: the field says what the dialogue for a new group says."""
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Team", names[1])
    await details(alice)
    for name in ("", "  "):
        await alice.fill("#rename input", name)
        await alice.click("#rename button")
        await refused(alice, "#rename input", "Enter a name for the group.")


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
        ("direct", "user", names[0], "That is you. Enter the name of somebody else."),
        ("group", "name", "", "Enter a name for the group."),
        ("group", "members", "no/näme", BAD_NAME),
    ):
        if field == "members":
            await alice.fill("#new-group [name=name]", "Team")
        await alice.fill(f"#new-{form} [name={field}]", text)
        await alice.click(f"#new-{form} .primary")
        await refused(alice, f"#new-{form} [name={field}]", said)


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
