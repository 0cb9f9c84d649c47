"""Finding rooms, and what is special about them: hidden, muted, read-only, renamed, files."""

from __future__ import annotations

import json
from pathlib import Path

from tests.browser.chromium import Chromium, Page
from tests.browser.session import (
    act,
    details,
    direct,
    group,
    in_direct_room,
    opened,
    say,
    send_files,
    signed_in,
)
from tests.helpers.file_samples import png

CTRL = 2
SHOWN = (
    "[...document.querySelectorAll('#room-lists .title')].filter((one) => one.checkVisibility())"
)
TOAST = "document.querySelector('.toast span')?.textContent"
ROW = "#messages li:last-child"


async def search(page: Page) -> None:
    """Press Ctrl+K and wait for the field."""
    await page.press("k", 75, CTRL)
    await page.until("document.activeElement.id === 'search'")


async def test_search_opens_a_room_by_keys(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Ctrl+K leads to the search from anywhere; Enter and ↓ open what is found, Escape nothing."""
    alice = await signed_in(chromium, dev_url, names[0])
    for name in ("Garden", "Kitchen", "Garage"):
        await group(alice, name)
    await search(alice)
    assert await alice.js("document.querySelector('#title').textContent") == "Garage"
    await alice.type("#search", "kit")
    await alice.until(f"{SHOWN}.map((one) => one.textContent).join() === 'Kitchen'")
    await alice.press("Enter", 13)
    await opened(alice, "Kitchen")
    assert await alice.js("document.querySelector('#search').value") == ""
    await alice.until(f"{SHOWN}.length === 3")

    await search(alice)
    await alice.type("#search", "gar")
    await alice.until(f"{SHOWN}.map((one) => one.textContent).join() === 'Garage,Garden'")
    await alice.press("ArrowDown", 40)
    await alice.press("ArrowDown", 40)
    await alice.press("Enter", 13)
    await opened(alice, "Garden")

    await search(alice)
    await alice.type("#search", "nothing of this name")
    await alice.until("document.querySelector('#no-rooms').checkVisibility()")
    await alice.press("Escape", 27)
    await alice.until(f"{SHOWN}.length === 3")
    assert await alice.js("document.querySelector('#title').textContent") == "Garden"


async def test_search_on_a_telephone(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Where the chat covers the list, Ctrl+K brings the list and its search."""
    alice = await signed_in(chromium, dev_url, names[0])
    await group(alice, "Garden")
    await alice.size(390, 844)
    await search(alice)
    assert await alice.js("document.querySelector('#sidebar').checkVisibility()")


async def test_a_hidden_room_is_found(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A hidden room is out of the list, and in sight again as soon as its name is searched for."""
    alice = await signed_in(chromium, dev_url, names[0])
    await group(alice, "Attic")
    await group(alice, "Cellar")
    await details(alice)
    await alice.click("#hide")
    await alice.until(f"{SHOWN}.map((one) => one.textContent).join() === 'Attic'")
    await alice.type("#search", "cell")
    await alice.until(f"{SHOWN}.map((one) => one.textContent).join() === 'Cellar'")
    assert not await alice.js("document.querySelector('#no-rooms').checkVisibility()")
    await alice.press("Enter", 13)
    await opened(alice, "Cellar")
    await alice.until(f"{SHOWN}.map((one) => one.textContent).join() === 'Attic'")


async def test_hiding_a_room_can_be_taken_back(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The focus goes to the list; Undo opens the room again, and to begin it anew lists it too."""
    bob_id = names[1]
    alice = await signed_in(chromium, dev_url, names[0])
    await group(alice, "Attic")
    await direct(alice, bob_id)
    for again in ("undo", "new"):
        await details(alice)
        await alice.click("#hide")
        await alice.until(f"{TOAST} === '{bob_id} is hidden.'")
        await alice.until(f"{SHOWN}.map((one) => one.textContent).join() === 'Attic'")
        await alice.until("document.activeElement.closest('#rooms li')?.innerText")
        if again == "undo":
            await alice.click(".toast [data-action=act]")
            await opened(alice, bob_id)
        else:
            await direct(alice, bob_id)
        await alice.until(f"{SHOWN}.map((one) => one.textContent).includes('{bob_id}')")
        await alice.until("document.activeElement.closest('#room')")


async def test_a_row_that_leaves_the_list_leaves_its_focus_there(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A chat that another device hides: the focus was on it, and goes to the first one left."""
    alice, desk = [await signed_in(chromium, dev_url, names[0]) for _ in range(2)]
    await group(desk, "Attic")
    await group(desk, "Cellar")
    await alice.until(f"{SHOWN}.map((one) => one.textContent).join() === 'Cellar,Attic'")
    await alice.js("document.querySelector('#rooms button').focus()")
    await details(desk)
    await desk.click("#hide")
    await alice.until(f"{SHOWN}.map((one) => one.textContent).join() === 'Attic'")
    await alice.until("document.activeElement.closest('#rooms li')?.innerText.includes('Attic')")


async def test_a_read_only_room(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """Frozen for all, and for one who only reads: a sign and a sentence, and no field."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await group(alice, "News", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "News")
    field = "document.querySelector('#compose textarea').checkVisibility()"
    why = "document.querySelector('#compose .hint').textContent"

    await details(alice)
    await alice.click("#freeze")
    await bob.until(f"{why} === 'This chat is read-only for everybody.'")
    assert not await bob.js(field)
    await bob.until("document.querySelector('#room > header .sign')?.title === 'Read-only'")
    await bob.until("document.querySelector('#rooms .sign')?.title === 'Read-only'")
    await alice.click("#freeze")
    await bob.until(f"{field} && {why} === ''")

    select = f"document.querySelector('#people [data-key=\"{bob_id}\"] select')"
    await alice.until(select)
    await alice.js(
        f"{select}.value = 'readonly';"
        f"{select}.dispatchEvent(new Event('change', {{bubbles: true}}))"
    )
    await bob.until(f"{why} === 'You can read this chat, but not write in it.'")
    assert not await bob.js(field)
    await say(alice, "the news")
    await bob.until(f"document.querySelector('{ROW} p')?.textContent === 'the news'")


async def test_a_muted_room(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """A muted room has a sign in the list and in its header, and its messages stand in no title."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await direct(alice, bob_id)
    await details(alice)
    await alice.click("#mute")
    await alice.until("document.querySelector('#room > header .sign')?.title === 'Muted'")
    await alice.until("document.querySelector('#rooms .sign')?.title === 'Muted'")
    await group(alice, "Elsewhere")
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    await say(bob, "psst")
    await alice.until("document.querySelector('#rooms .badge.quiet')?.textContent === '1'")
    assert not await alice.js("document.title.startsWith('(')")


async def test_a_room_is_renamed(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """A new name shows in both windows; one that the server refuses is told with its reason."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await details(alice)
    await alice.js("document.querySelector('#rename input').select()")
    await alice.type("#rename input", "Crew", enter=True)
    for page in (alice, bob):
        await opened(page, "Crew")
        await page.until("document.querySelector('#rooms .title').textContent === 'Crew'")
    await alice.until(f"{TOAST} === 'Renamed.'")

    # A page of an older version knows another limit than the server.
    await alice.js("document.querySelector('#rename input').maxLength = 1000")
    await alice.js("document.querySelector('#rename input').select()")
    await alice.type("#rename input", "x" * 300, enter=True)
    said = "[...document.querySelectorAll('.toast span')].at(-1)?.textContent"
    await alice.until(f"{said}.startsWith('That was not accepted. name: ')")
    assert "200" in await alice.js(said)
    await opened(alice, "Crew")


async def test_files_of_a_room(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """The details list the files, the newest first, and lead to the message; deleted ones go."""
    alice_id, bob_id = names
    picture, notes = tmp_path / "holiday.png", tmp_path / "notes.txt"
    picture.write_bytes(png(640, 900))
    notes.write_text("notes")
    alice = await signed_in(chromium, dev_url, alice_id)
    await direct(alice, bob_id)
    await send_files(alice, picture)
    await send_files(alice, notes)
    await say(alice, *(f"line {n}\n" * 6 for n in range(6)))
    await alice.until(f"document.querySelector('{ROW} .mark.queued')")
    await details(alice)
    listed = "[...document.querySelectorAll('.room-files .who > span')].map((s) => s.textContent)"
    await alice.until(f"{listed}.join() === 'notes.txt,holiday.png'")
    await alice.click(".room-files li:last-child button")
    await alice.until("document.activeElement.innerText?.includes('holiday.png')")
    top = "document.activeElement.getBoundingClientRect().top"
    assert 0 < await alice.js(top) < 400

    await details(alice)  # they covered the chat, and closed
    await act(alice, ".remove", f'li[data-key="{await row_of(alice, "notes.txt")}"]')
    undo = "document.querySelector('.toast [data-action=act]')"
    await alice.until(f"{listed}.join() === 'holiday.png' && {undo}")  # at once, and not for good
    await alice.js(f"{undo}.click()")
    await alice.until(f"{listed}.join() === 'notes.txt,holiday.png'")


async def row_of(page: Page, text: str) -> str:
    """The key of the row that shows a text."""
    rows = "[...document.querySelectorAll('#messages li')]"
    found = f"{rows}.find((one) => one.innerText.includes({json.dumps(text)}))"
    await page.until(found)
    key: str = await page.js(f"{found}.dataset.key")
    return key


async def test_a_picture_has_its_own_shape(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """A picture has the room of its own proportions before it is here, also on a telephone."""
    wide = tmp_path / "wide.png"
    wide.write_bytes(png(640, 320))
    alice = await signed_in(chromium, dev_url, names[0])
    bob = await signed_in(chromium, dev_url, names[1])
    for page in (alice, bob):
        await page.size(1280, 800)
    await bob.call("Network.enable")
    await bob.call("Network.setBlockedURLs", urls=["*X-Amz-Signature*"])
    await group(alice, "Pictures", names[1])
    await send_files(alice, wide)
    await alice.until(f"document.querySelector('{ROW} .mark.queued')")
    place = "(({width, height}) => [width, height])"
    place += "(document.querySelector('#messages .picture').getBoundingClientRect())"
    await alice.until(f"{place}.join() === '320,160'")
    await bob.click("#rooms li button")
    await bob.until("document.querySelector('#messages .picture.missing')")
    assert await bob.js(place) == [320, 160]
    await alice.size(390, 844, touch=True)
    bubble = "document.querySelector('#messages .bubble').getBoundingClientRect().right"
    inside = "document.querySelector('#messages .picture').getBoundingClientRect().right"
    await alice.until(f"{inside} < {bubble}")
    width, height = await alice.js(place)
    assert abs(width - 2 * height) <= 1


async def test_a_list_of_which_all_is_hidden_says_so(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Not that there are no chats yet."""
    alice = await in_direct_room(chromium, dev_url, names)
    await details(alice)
    await alice.click("#hide")
    await alice.until("document.querySelector('#archive').checkVisibility()")
    assert (
        await alice.js("document.querySelector('#no-rooms').innerText") == "All chats are hidden."
    )


async def test_a_wrong_name_leads_back_to_its_field(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Of a person, of a group, and of its members, after a click on the button."""
    alice = await signed_in(chromium, dev_url, names[0])
    await alice.click("#new")
    for form, field, text in (
        ("direct", "user", "no name"),
        ("group", "name", " "),
        ("group", "members", "no/näme"),
    ):
        if field == "members":
            await alice.type("#new-group [name=name]", "Team")
        await alice.type(f"#new-{form} [name={field}]", text)
        await alice.js(f"document.querySelector('#new-{form} .primary').focus()")
        await alice.click(f"#new-{form} .primary")
        assert await alice.js("document.activeElement.name") == field
