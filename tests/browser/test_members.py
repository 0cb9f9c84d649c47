"""The members of a group."""

from __future__ import annotations

from playwright.async_api import BrowserContext, expect

from tests.browser.session import in_group_details


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
