"""What the page says for some seconds: few toasts, beside what one reads and writes."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.session import (
    act,
    both_with_direct_room,
    choose,
    frame,
    in_direct_room,
    say,
)

HOLD = """
window.ends = [];
window.after = setTimeout;
window.setTimeout = (act, ms, ...more) => ms === 5000 ? ends.push(act) : after(act, ms, ...more);
"""
"""The five seconds of a toast end when the test says so."""
END = "ends.splice(0).forEach((end) => end())"
TOAST = ".toast > span"
TOASTS = "document.querySelector('#toasts').getBoundingClientRect()"
FIELD = "#compose textarea"
DELETED = "#messages .deleted"


async def test_toasts_are_few_and_lie_beside_the_chat(
    context: BrowserContext,
    phone: BrowserContext,
    dev_url: str,
    names: tuple[str, str],
    tmp_path: Path,
) -> None:
    """Of five the last three stand, each text once; on a telephone they leave the field free."""
    empty = [tmp_path / f"{n} {'family ' * 12}.png" for n in range(5)]
    for path in empty:
        path.write_bytes(b"")
    alice = await in_direct_room(context, dev_url, names)
    await five_toasts(alice, empty)
    assert await alice.evaluate(f"{TOASTS}.right <= document.querySelector('#pane').offsetLeft")
    alice = await in_direct_room(phone, dev_url, names)
    await five_toasts(alice, empty)
    assert await alice.evaluate(f"{TOASTS}.right <= innerWidth")
    assert await alice.evaluate(
        f"{TOASTS}.bottom < document.querySelector('{FIELD}').getBoundingClientRect().top"
    )
    header = "document.querySelector('#room > header').getBoundingClientRect().bottom"
    assert await alice.evaluate(f"{TOASTS}.top >= {header}")


async def five_toasts(page: Page, empty: list[Path]) -> None:
    """Choose five files that are refused, and one of them again."""
    await page.evaluate(HOLD)
    for n, path in enumerate(empty):
        await choose(page, path)
        await expect(page.locator(TOAST).last).to_have_text(re.compile(f"^{n} family"))
    await choose(page, empty[3])
    standing = [re.compile(f"^{n} family") for n in (2, 4, 3)]
    await expect(page.locator(TOAST)).to_have_text(standing)


async def test_toasts_leave_by_themselves_and_by_a_click_and_escape(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """None leaves while the focus is in one; then it goes back to where it was."""
    alice = await in_direct_room(context, dev_url, names)
    await alice.evaluate(HOLD)
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")

    async def toast() -> None:
        await alice.mouse.move(0, 0)  # under it, a toast would stay
        await choose(alice, empty)
        await expect(alice.locator(TOAST)).to_have_count(1)

    await toast()
    await alice.click(".toast > span")
    await expect(alice.locator(TOAST)).to_have_count(0)
    await toast()
    await alice.keyboard.press("Escape")
    await expect(alice.locator(TOAST)).to_have_count(0)
    await toast()
    await alice.focus(FIELD)
    await alice.focus(".toast button")
    await alice.evaluate(END)
    await frame(alice)
    await frame(alice)
    assert await alice.locator(TOAST).count() == 1
    await alice.click(".toast button")
    await expect(alice.locator(TOAST)).to_have_count(0)
    await expect(alice.locator(FIELD)).to_be_focused()
    await toast()
    await alice.evaluate(END)
    await expect(alice.locator(TOAST)).to_have_count(0)


async def test_several_deletions_are_taken_back_together(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """One toast counts them; Undo brings all back, and without it all go."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await alice.evaluate(HOLD)
    await say(alice, "one", "two", "three")
    await expect(alice.locator("#messages .mark.delivered")).to_have_count(3)
    for offer in ("act", "close"):
        for row in (1, 2):
            await act(alice, ".remove", f"#messages li:nth-child({row})")
        await expect(alice.locator(TOAST)).to_have_text("2 messages deleted.")
        assert await alice.locator(DELETED).count() == 2
        await alice.click(f".toast [data-action={offer}]")
        await expect(alice.locator(TOAST)).to_have_count(0)
        await expect(alice.locator(DELETED)).to_have_count(0 if offer == "act" else 2)
    await bob.click("#rooms li button")
    await expect(bob.locator(DELETED)).to_have_count(2)


async def test_what_is_deleted_is_nowhere_to_be_read_while_it_can_be_taken_back(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Not in the list of chats, nor in the quote above an answer; Undo brings it back there too."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "secret")
    await expect(alice.locator("#messages .mark.queued")).to_have_count(1)
    preview = alice.locator("#rooms .preview")
    await act(alice, ".reply")
    await act(alice, ".remove")
    await expect(preview).to_have_text("You: Message deleted")
    await expect(alice.locator("#banner div span")).to_have_text("Message deleted")
    assert "secret" not in await alice.inner_text("body")
    await alice.click(".toast [data-action=act]")
    await expect(preview).to_have_text("You: secret")
    await say(alice, "answer")
    await act(alice, ".remove", "#messages li:first-child")
    await expect(alice.locator("#messages .quote")).to_contain_text("Message deleted")
    assert "secret" not in await alice.inner_text("body")


async def test_focus_is_in_the_chat_after_a_deletion_is_taken_back(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Wherever it was when Undo was clicked."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "one")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    for leave in ("", "document.activeElement.blur()"):
        await act(alice, ".remove")
        await expect(alice.locator("#messages .deleted").first).to_be_attached()
        await alice.evaluate(leave)
        await alice.focus(".toast [data-action=act]")
        await alice.click(".toast [data-action=act]")
        await expect(alice.locator(TOAST)).to_have_count(0)
        assert await alice.evaluate("Boolean(document.activeElement.closest('#room'))"), leave
