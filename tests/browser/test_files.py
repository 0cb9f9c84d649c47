"""A file from one window to the other, straight through the store."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    act,
    both_with_direct_room,
    choose,
    in_direct_room,
    send_files,
    until,
    upload_slowly,
    write,
)
from tests.helpers.file_samples import png

MEGABYTE = 2**20
IN_THE_STORE = re.compile("X-Amz-Signature")
IMAGE = "document.querySelector('#messages .file img')"
WATCH = """
window.seen = [];
new MutationObserver(() => {
  const bar = document.querySelector('#messages progress');
  if (bar) seen.push(bar.value / bar.max);
}).observe(document.querySelector('#messages'), {childList: true, subtree: true, attributes: true});
"""


async def test_twenty_megabytes_with_a_progress_bar(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """The bar grows while the store takes 20 MB; the other member sees the picture."""
    picture = tmp_path / "holiday.png"
    picture.write_bytes(png(640, 360, blank=20 * MEGABYTE))
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await alice.evaluate(WATCH)
    await upload_slowly(alice, 10 * MEGABYTE)
    await send_files(alice, picture)

    await bob.click("#rooms li button")
    await until(bob, f"{IMAGE}?.complete && {IMAGE}.naturalWidth === 640")
    shown = await bob.inner_text("#messages .file")
    assert shown == "holiday.png 20.0 MB"
    preview = await bob.text_content("#rooms .preview")
    assert preview == "holiday.png"
    assert "X-Amz-Signature" in await bob.evaluate(f"{IMAGE}.src")

    await expect(alice.locator("#messages .own .mark.read").first).to_be_attached()
    bar = await alice.evaluate("seen")
    assert bar == sorted(bar)
    assert any(0 < part < 1 for part in bar)
    assert await alice.locator("#messages progress").count() == 0
    assert await alice.evaluate(f"{IMAGE}.naturalWidth") == 640


async def test_files_that_are_not_pictures_are_downloads(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Several files are one message, a page among them is never opened; deleted, they are gone."""
    paths = [tmp_path / "<b>page.html", tmp_path / "notes.txt"]
    secret = secrets.token_hex(8)
    for path in paths:
        path.write_text(f"<script>document.title = '{secret}'</script>")
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await send_files(alice, *paths)
    await bob.click("#rooms li button")
    captions = "[...document.querySelectorAll('#messages .download')].map((b) => b.innerText)"
    expected = json.dumps(["<b>page.html 52 B", "notes.txt 52 B"])
    await until(bob, f"JSON.stringify({captions}) === JSON.stringify({expected})")
    assert await bob.locator("#messages li").count() == 1

    async with bob.expect_download() as downloading:
        await bob.click("#messages .download")
    saved = await (await downloading.value).path()
    assert saved.read_text() == paths[0].read_text()
    assert await bob.evaluate("document.title") != secret

    await act(alice, ".remove")
    await alice.click("#toasts [aria-label=Close]")
    await expect(bob.locator("#messages .deleted").first).to_be_attached()
    assert await bob.locator("#messages .file").count() == 0


async def test_a_refused_file_can_be_sent_again_or_dropped(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """A page that says it is a picture is refused in the sender's window and nowhere else."""
    fake, empty = tmp_path / "fake.png", tmp_path / "empty.png"
    fake.write_text("<html>")
    empty.write_bytes(b"")
    alice = await in_direct_room(context, dev_url, names)
    await choose(alice, empty)
    await expect(alice.locator(".toast span").first).to_have_text("empty.png is empty.")
    await alice.click("#chosen [aria-label='Remove empty.png']")
    await send_files(alice, fake)
    said = "The upload is not what was announced."
    await expect(alice.locator("#messages .error").first).to_contain_text(f"{said}")
    # It is no picture, so there is none to load again.
    await expect(alice.locator("#messages .file").first).to_have_text("fake.png 6 B")
    preview = "document.querySelector('#rooms .preview')"
    await until(alice, f"{preview}.textContent === ' fake.png'")
    assert await alice.evaluate(f"Boolean({preview}.querySelector('.mark.refused'))")
    await alice.evaluate("document.querySelector('#messages .error').dataset.before = ''")
    await alice.click("#messages .retry")
    again = "document.querySelector('#messages .error:not([data-before])')"
    await until(alice, f"{again}?.textContent.includes('{said}')")
    await alice.click("#messages .discard")
    await expect(alice.locator("#messages li")).to_have_count(0)


async def test_a_picture_that_cannot_be_loaded_is_tried_again(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Its place says so in words; a click, or the next connection, loads it."""
    picture = tmp_path / "holiday.png"
    picture.write_bytes(png(640, 320))
    alice, bob = await both_with_direct_room(context, dev_url, names)
    for again in ("click", "connection"):
        await bob.route(IN_THE_STORE, lambda route: route.abort())
        await send_files(alice, picture)
        await bob.click("#rooms li button")
        shown = "document.querySelector('#messages .missing')?.innerText"
        await until(bob, f"{shown} === 'Not loaded.\\nTry again'")
        assert not await bob.evaluate("document.querySelector('#messages li:last-child img')")
        await bob.unroute(IN_THE_STORE)
        if again == "click":
            await bob.click("#messages .missing")
        else:
            await context.set_offline(True)
            await bob.evaluate("dispatchEvent(new Event('offline'))")
            await expect(bob.locator("#bar")).to_be_visible()
            await context.set_offline(False)
            await bob.evaluate("dispatchEvent(new Event('online'))")
        last = "document.querySelector('#messages li:last-child img')"
        await until(bob, f"{last}?.naturalWidth === 640")
        assert not await bob.evaluate("document.querySelector('#messages .missing')")


async def test_a_file_without_a_connection_is_told_in_the_page(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """The browser does not leave the page for its own that says so."""
    notes = tmp_path / "notes.txt"
    notes.write_text("notes")
    alice = await in_direct_room(context, dev_url, names)
    await send_files(alice, notes)
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    await context.set_offline(True)
    await alice.click("#messages .download")
    await expect(alice.locator(".toast span").first).to_have_text(re.compile(r"^No connection\."))


async def test_a_file_that_is_too_large_leaves_the_others(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Of three files two are chosen; the third is named as refused until one has seen that."""
    paths = [tmp_path / "one.txt", tmp_path / "large.bin", tmp_path / "two.txt"]
    for path in paths:
        path.write_text("text")
    with paths[1].open("ab") as large:
        large.truncate(25 * MEGABYTE + 1)
    alice = await in_direct_room(context, dev_url, names)
    await choose(alice, *paths)
    good = alice.locator("#chosen .chip:not(.refused) > span")
    await expect(good).to_have_text(["one.txt 4 B", "two.txt 4 B"])
    bad = alice.locator("#chosen .chip.refused")
    await expect(bad).to_have_text(re.compile(r"^large\.bin is larger than 25"))
    await expect(alice.locator(".toast")).to_have_text(re.compile(r"^large\.bin is larger"))
    await write(alice, "#compose textarea", "all three", enter=True)
    await expect(bad).to_be_focused()
    assert await alice.input_value("#compose textarea") == "all three"
    assert not await alice.locator("#messages li").count()
    await alice.click("#chosen [aria-label='Remove large.bin']")
    await expect(bad).to_have_count(0)
    await alice.keyboard.press("Enter")
    await expect(alice.locator("#messages .bubble p")).to_have_text("all three")
    await expect(alice.locator("#messages .file")).to_have_count(2)


async def test_a_chosen_picture_is_seen_before_it_is_sent(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Small, beside its name, also after a reload; what only says that it is one has an icon."""
    picture, fake, table = (tmp_path / name for name in ("a.png", "fake.png", "table.csv"))
    picture.write_bytes(png(640, 320))
    fake.write_text("<html>")
    table.write_text("1,2\n")
    alice = await in_direct_room(context, dev_url, names)
    await choose(alice, picture, fake, table)
    for again in (False, True):
        if again:
            await alice.reload()
        chips = alice.locator("#chosen .chip")
        await expect(chips.locator("svg.icon + span")).to_have_text(
            [re.compile("^fake"), re.compile("^table")]
        )
        await until(alice, "document.querySelector('#chosen img')?.naturalWidth === 640")
        await expect(chips.locator("img + span")).to_have_text([re.compile(r"^a\.png")])
    await alice.click("[aria-label='Remove a.png']")
    await expect(alice.locator("#chosen img")).to_have_count(0)
