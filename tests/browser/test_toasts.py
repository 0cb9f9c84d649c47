"""What the page says for some seconds: few toasts, beside what one reads and writes."""

from __future__ import annotations

from pathlib import Path

from tests.browser.chromium import Chromium
from tests.browser.session import act, both_with_direct_room, choose, in_direct_room, say

HOLD = """
window.ends = [];
window.after = setTimeout;
window.setTimeout = (act, ms, ...more) => ms === 5000 ? ends.push(act) : after(act, ms, ...more);
"""
"""The five seconds of a toast end when the test says so."""
END = "ends.splice(0).forEach((end) => end())"
TEXTS = "[...document.querySelectorAll('.toast > span')].map((one) => one.textContent)"
TOASTS = "document.querySelector('#toasts').getBoundingClientRect()"
FIELD = "document.querySelector('#compose textarea')"


async def test_toasts_are_few_and_lie_beside_the_chat(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Of five the last three stand, each text once; on a telephone they leave the field free."""
    alice = await in_direct_room(chromium, dev_url, names)
    await alice.js(HOLD)
    empty = [tmp_path / f"{n} {'family ' * 12}.png" for n in range(5)]
    for n, path in enumerate(empty):
        path.write_bytes(b"")
        await choose(alice, path)
        await alice.until(f"{TEXTS}.at(-1)?.startsWith('{n} family')")
    await choose(alice, empty[3])
    await alice.until(f"{TEXTS}.map((text) => text[0]).join() === '2,4,3'")
    assert await alice.js(f"{TOASTS}.right <= document.querySelector('#pane').offsetLeft")
    await alice.size(390, 844, touch=True)
    await alice.until(f"{TOASTS}.right <= innerWidth")
    assert await alice.js(f"{TOASTS}.bottom < {FIELD}.getBoundingClientRect().top")
    header = "document.querySelector('#room > header').getBoundingClientRect().bottom"
    assert await alice.js(f"{TOASTS}.top >= {header}")


async def test_toasts_leave_by_themselves_and_by_a_click_and_escape(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """None leaves while the focus is in one; then it goes back to where it was."""
    alice = await in_direct_room(chromium, dev_url, names)
    await alice.js(HOLD)
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")

    async def toast() -> None:
        await choose(alice, empty)
        await alice.until(f"{TEXTS}.length === 1")

    await toast()
    await alice.click(".toast > span")
    await alice.until(f"{TEXTS}.length === 0")
    await toast()
    await alice.press("Escape", 27)
    await alice.until(f"{TEXTS}.length === 0")
    await toast()
    await alice.js(f"{FIELD}.focus(); document.querySelector('.toast button').focus(); {END}")
    await alice.frame()
    await alice.frame()
    assert await alice.js(f"{TEXTS}.length") == 1
    await alice.click(".toast button")
    await alice.until(f"{TEXTS}.length === 0 && document.activeElement === {FIELD}")
    await toast()
    await alice.js(END)
    await alice.until(f"{TEXTS}.length === 0")


async def test_several_deletions_are_taken_back_together(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """One toast counts them; Undo brings all back, and without it all go."""
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await alice.js(HOLD)
    await say(alice, "one", "two", "three")
    await alice.until("document.querySelectorAll('#messages .mark.delivered').length === 3")
    for offer in ("act", "close"):
        for row in (1, 2):
            await act(alice, ".remove", f"#messages li:nth-child({row})")
        await alice.until(f"{TEXTS}.join() === '2 messages deleted.'")
        deleted = "document.querySelectorAll('#messages .deleted').length"
        assert await alice.js(deleted) == 2
        await alice.click(f".toast [data-action={offer}]")
        await alice.until(f"{TEXTS}.length === 0 && {deleted} === {0 if offer == 'act' else 2}")
    await bob.click("#rooms li button")
    await bob.until(f"document.querySelector('#messages li') && {deleted} === 2")


async def test_focus_is_in_the_chat_after_a_deletion_is_taken_back(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Wherever it was when Undo was clicked."""
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "one")
    await alice.until("document.querySelector('#messages .mark.queued')")
    for leave in ("", "document.activeElement.blur()"):
        await act(alice, ".remove")
        await alice.until("document.querySelector('#messages .deleted')")
        await alice.js(leave)
        await alice.js("document.querySelector('.toast [data-action=act]').focus()")
        await alice.click(".toast [data-action=act]")
        await alice.until(f"{TEXTS}.length === 0")
        assert await alice.js("Boolean(document.activeElement.closest('#room'))"), leave
