"""A file from one window to the other, straight through the store."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path

from tests.browser.chromium import Chromium
from tests.browser.session import (
    act,
    both_with_direct_room,
    choose,
    in_direct_room,
    send_files,
)
from tests.helpers.file_samples import png
from tests.helpers.waiting import until

MEGABYTE = 2**20
IMAGE = "document.querySelector('#messages .file img')"
LINE = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 10 * MEGABYTE}
"""On this machine 20 MB are gone before a bar can be drawn."""
AWAY = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
WATCH = """
window.seen = [];
new MutationObserver(() => {
  const bar = document.querySelector('#messages progress');
  if (bar) seen.push(bar.value / bar.max);
}).observe(document.querySelector('#messages'), {childList: true, subtree: true, attributes: true});
"""


def downloaded(folder: Path) -> list[Path]:
    """What the browser has saved, once it is whole."""
    # While it is written, the browser has a second file beside it.
    until(lambda: [one.suffix for one in folder.glob("*")] == [".html"])
    return list(folder.iterdir())


async def test_twenty_megabytes_with_a_progress_bar(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """The bar grows while the store takes 20 MB; the other member sees the picture."""
    alice_id = names[0]
    picture = tmp_path / "holiday.png"
    picture.write_bytes(png(640, 360, blank=20 * MEGABYTE))
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await alice.js(WATCH)
    await alice.call("Network.enable")
    await alice.call("Network.emulateNetworkConditions", **LINE)
    await send_files(alice, picture)

    await bob.click("#rooms li button")
    await bob.until(f"{IMAGE}?.complete && {IMAGE}.naturalWidth === 640")
    shown = await bob.js("document.querySelector('#messages .file').innerText")
    assert shown == "holiday.png 20.0 MB"
    preview = await bob.js("document.querySelector('#rooms .preview').textContent")
    assert preview == f"{alice_id}: holiday.png"
    assert "X-Amz-Signature" in await bob.js(f"{IMAGE}.src")

    await alice.until("document.querySelector('#messages .own .mark.read')")
    bar = await alice.js("seen")
    assert bar == sorted(bar)
    assert any(0 < part < 1 for part in bar)
    assert await alice.js("document.querySelectorAll('#messages progress').length") == 0
    assert await alice.js(f"{IMAGE}.naturalWidth") == 640


async def test_files_that_are_not_pictures_are_downloads(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Several files are one message, a page among them is never opened; deleted, they are gone."""
    paths = [tmp_path / "<b>page.html", tmp_path / "notes.txt"]
    secret = secrets.token_hex(8)
    for path in paths:
        path.write_text(f"<script>document.title = '{secret}'</script>")
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await send_files(alice, *paths)
    await bob.click("#rooms li button")
    captions = "[...document.querySelectorAll('#messages .download')].map((b) => b.innerText)"
    expected = json.dumps(["<b>page.html 52 B", "notes.txt 52 B"])
    await bob.until(f"JSON.stringify({captions}) === JSON.stringify({expected})")
    assert await bob.js("document.querySelectorAll('#messages li').length") == 1

    await chromium.save_to(tmp_path / "got")
    await bob.click("#messages .download")
    (saved,) = await asyncio.to_thread(downloaded, tmp_path / "got")
    assert saved.read_text() == paths[0].read_text()
    assert await bob.js("document.title") != secret

    await act(alice, ".remove")
    await alice.click("#toasts [aria-label=Close]")
    await bob.until("document.querySelector('#messages .deleted')")
    assert await bob.js("document.querySelectorAll('#messages .file').length") == 0


async def test_a_refused_file_can_be_sent_again_or_dropped(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """A page that says it is a picture is refused in the sender's window and nowhere else."""
    fake, empty = tmp_path / "fake.png", tmp_path / "empty.png"
    fake.write_text("<html>")
    empty.write_bytes(b"")
    alice = await in_direct_room(chromium, dev_url, names)
    await choose(alice, empty)
    await alice.until(
        "document.querySelector('.toast span')?.textContent === 'empty.png is empty.'"
    )
    await send_files(alice, fake)
    said = "The upload is not what was announced."
    await alice.until(f"document.querySelector('#messages .error')?.textContent.includes('{said}')")
    # It is no picture, so there is none to load again.
    await alice.until("document.querySelector('#messages .file').innerText === 'fake.png 6 B'")
    preview = "document.querySelector('#rooms .preview')"
    await alice.until(f"{preview}.textContent === 'Not sent fake.png'")
    assert await alice.js(f"Boolean({preview}.querySelector('.mark.refused'))")
    await alice.js("document.querySelector('#messages .error').dataset.before = ''")
    await alice.click("#messages .retry")
    again = "document.querySelector('#messages .error:not([data-before])')"
    await alice.until(f"{again}?.textContent.includes('{said}')")
    await alice.click("#messages .discard")
    await alice.until("!document.querySelector('#messages li')")


async def test_a_picture_that_cannot_be_loaded_is_tried_again(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Its place says so in words; a click, or the next connection, loads it."""
    picture = tmp_path / "holiday.png"
    picture.write_bytes(png(640, 320))
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await bob.call("Network.enable")
    for again in ("click", "connection"):
        await bob.call("Network.setBlockedURLs", urls=["*X-Amz-Signature*"])
        await send_files(alice, picture)
        await bob.click("#rooms li button")
        shown = "document.querySelector('#messages .missing')?.innerText"
        await bob.until(f"{shown} === 'Not loaded\\nTry again'")
        assert not await bob.js("document.querySelector('#messages li:last-child img')")
        await bob.call("Network.setBlockedURLs", urls=[])
        if again == "click":
            await bob.click("#messages .missing")
        else:
            await bob.call("Network.emulateNetworkConditions", **AWAY)
            await bob.js("dispatchEvent(new Event('offline'))")
            await bob.until("document.querySelector('#bar').checkVisibility()")
            await bob.call("Network.emulateNetworkConditions", **AWAY | {"offline": False})
            await bob.js("dispatchEvent(new Event('online'))")
        last = "document.querySelector('#messages li:last-child img')"
        await bob.until(f"{last}?.naturalWidth === 640")
        assert not await bob.js("document.querySelector('#messages .missing')")


async def test_a_file_without_a_connection_is_told_in_the_page(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """The browser does not leave the page for its own that says so."""
    notes = tmp_path / "notes.txt"
    notes.write_text("notes")
    alice = await in_direct_room(chromium, dev_url, names)
    await send_files(alice, notes)
    await alice.until("document.querySelector('#messages .mark.queued')")
    await alice.call("Network.enable")
    await alice.call("Network.emulateNetworkConditions", **AWAY)
    await alice.click("#messages .download")
    await alice.until(
        "document.querySelector('.toast span')?.textContent.startsWith('No connection.')"
    )


async def test_a_file_that_is_too_large_leaves_the_others(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Of three files the good ones stand as chips; the large one is refused by name."""
    paths = [tmp_path / "one.txt", tmp_path / "large.bin", tmp_path / "two.txt"]
    for path in paths:
        path.write_text("text")
    with paths[1].open("ab") as large:
        large.truncate(25 * MEGABYTE + 1)
    alice = await in_direct_room(chromium, dev_url, names)
    await choose(alice, *paths)
    await alice.until(
        "document.querySelector('.toast')?.innerText.startsWith('large.bin is larger')"
    )
    chips = "[...document.querySelectorAll('#chosen .chip > span')].map((one) => one.innerText)"
    await alice.until(f"{chips}.join() === 'one.txt 4 B,two.txt 4 B'")
