"""Finding rooms, and what is special about them: hidden, muted, read-only, renamed, files."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

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
    until,
    write,
)
from tests.helpers.file_samples import png

SHOWN = "#room-lists .title:visible"
LISTED = ".room-files .who > span"
ROW = "#messages li:last-child"


async def search(page: Page) -> None:
    """Press Ctrl+K and wait for the field."""
    await page.keyboard.press("Control+k")
    await until(page, "document.activeElement.id === 'search'")


async def test_search_opens_a_room_by_keys(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Ctrl+K leads to the search from anywhere; Enter and ↓ open what is found, Escape nothing."""
    alice = await signed_in(context, dev_url, names[0])
    for name in ("Garden", "Kitchen", "Garage"):
        await group(alice, name)
    await search(alice)
    assert await alice.text_content("#title") == "Garage"
    await write(alice, "#search", "kit")
    await expect(alice.locator(SHOWN)).to_have_text(["Kitchen"])
    await alice.keyboard.press("Enter")
    await opened(alice, "Kitchen")
    assert await alice.input_value("#search") == ""
    await expect(alice.locator(SHOWN)).to_have_count(3)

    await search(alice)
    await write(alice, "#search", "gar")
    await expect(alice.locator(SHOWN)).to_have_text(["Garage", "Garden"])
    await alice.keyboard.press("ArrowDown")
    await alice.keyboard.press("ArrowDown")
    await alice.keyboard.press("Enter")
    await opened(alice, "Garden")

    await search(alice)
    await write(alice, "#search", "nothing of this name")
    await expect(alice.locator("#no-rooms")).to_be_visible()
    await alice.keyboard.press("Escape")
    await expect(alice.locator(SHOWN)).to_have_count(3)
    assert await alice.text_content("#title") == "Garden"


async def test_search_on_a_telephone(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Where the chat covers the list, Ctrl+K brings the list and its search."""
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Garden")
    await alice.set_viewport_size({"width": 390, "height": 844})
    await search(alice)
    assert await alice.is_visible("#sidebar")


async def test_a_hidden_room_is_found(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A hidden room is out of the list, and in sight again as soon as its name is searched for."""
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Attic")
    await group(alice, "Cellar")
    await details(alice)
    await alice.click("#hide")
    await expect(alice.locator(SHOWN)).to_have_text(["Attic"])
    await write(alice, "#search", "cell")
    await expect(alice.locator(SHOWN)).to_have_text(["Cellar"])
    assert not await alice.is_visible("#no-rooms")
    await alice.keyboard.press("Enter")
    await opened(alice, "Cellar")
    await expect(alice.locator(SHOWN)).to_have_text(["Attic"])


async def test_hiding_a_room_can_be_taken_back(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The focus goes to the list; Undo opens the room again, and to begin it anew lists it too."""
    bob_id = names[1]
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Attic")
    await direct(alice, bob_id)
    for again in ("undo", "new"):
        await details(alice)
        await alice.click("#hide")
        await expect(alice.locator(".toast span").first).to_have_text(f"{bob_id} is hidden.")
        await expect(alice.locator(SHOWN)).to_have_text(["Attic"])
        await until(alice, "document.activeElement.closest('#rooms li')?.innerText")
        if again == "undo":
            await alice.click(".toast [data-action=act]")
            await opened(alice, bob_id)
        else:
            await direct(alice, bob_id)
        await expect(alice.locator(SHOWN, has_text=bob_id)).to_be_visible()
        await until(alice, "document.activeElement.closest('#room')")


async def test_a_row_that_leaves_the_list_leaves_its_focus_there(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A chat that another device hides: the focus was on it, and goes to the first one left."""
    alice, desk = [await signed_in(context, dev_url, names[0]) for _ in range(2)]
    await group(desk, "Attic")
    await group(desk, "Cellar")
    await expect(alice.locator(SHOWN)).to_have_text(["Cellar", "Attic"])
    await alice.focus("#rooms button")
    await details(desk)
    await desk.click("#hide")
    await expect(alice.locator(SHOWN)).to_have_text(["Attic"])
    await until(alice, "document.activeElement.closest('#rooms li')?.innerText.includes('Attic')")


async def test_a_read_only_room(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Frozen for all, and for one who only reads: a sign and a sentence, and no field."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await group(alice, "News", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "News")
    why = bob.locator("#compose .hint")

    await details(alice)
    await alice.click("#freeze")
    await expect(why).to_have_text("This chat is read-only for everybody.")
    assert not await bob.is_visible("#compose textarea")
    await expect(bob.locator("#room > header .sign").first).to_have_attribute("title", "Read-only")
    await expect(bob.locator("#rooms .sign").first).to_have_attribute("title", "Read-only")
    await alice.click("#freeze")
    await expect(bob.locator("#compose textarea")).to_be_visible()
    await expect(why).to_have_text("")

    await alice.select_option(f"#people [data-key='{bob_id}'] select", "readonly")
    await expect(why).to_have_text("You can read this chat, but not write in it.")
    assert not await bob.is_visible("#compose textarea")
    await say(alice, "the news")
    await expect(bob.locator(f"{ROW} p").first).to_have_text("the news")


async def test_a_muted_room(context: BrowserContext, dev_url: str, names: tuple[str, str]) -> None:
    """A muted room has a sign in the list and in its header, and its messages stand in no title."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await direct(alice, bob_id)
    await details(alice)
    await alice.click("#mute")
    await expect(alice.locator("#room > header .sign").first).to_have_attribute("title", "Muted")
    await expect(alice.locator("#rooms .sign").first).to_have_attribute("title", "Muted")
    await group(alice, "Elsewhere")
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    await say(bob, "psst")
    await expect(alice.locator("#rooms .badge.quiet").first).to_have_text("1")
    assert not await alice.evaluate("document.title.startsWith('(')")


async def test_a_room_is_renamed(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A new name shows in both windows; one that the server refuses is told with its reason."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await details(alice)
    await alice.fill("#rename input", "Crew")
    await alice.press("#rename input", "Enter")
    for page in (alice, bob):
        await opened(page, "Crew")
        await expect(page.locator("#rooms .title").first).to_have_text("Crew")
    await expect(alice.locator(".toast span").first).to_have_text("Renamed.")

    # What only the server refuses is told without the name that it has for the field.
    await alice.fill("#rename input", "Cr\u202eew")
    await alice.press("#rename input", "Enter")
    await expect(alice.locator(".toast.failure > span")).to_have_text(
        "That was not accepted. Characters that control lines or direction are not allowed."
    )
    await opened(alice, "Crew")


async def test_files_of_a_room(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """The details list the files, the newest first, and lead to the message; deleted ones go."""
    alice_id, bob_id = names
    picture, notes = tmp_path / "holiday.png", tmp_path / "notes.txt"
    picture.write_bytes(png(640, 900))
    notes.write_text("notes")
    alice = await signed_in(context, dev_url, alice_id)
    await direct(alice, bob_id)
    await send_files(alice, picture)
    await send_files(alice, notes)
    await say(alice, *(f"line {n}\n" * 6 for n in range(6)))
    await expect(alice.locator(f"{ROW} .mark.queued").first).to_be_attached()
    await details(alice)
    await expect(alice.locator(LISTED)).to_have_text(["notes.txt", "holiday.png"])
    await alice.click(".room-files li:last-child button")
    await until(alice, "document.activeElement.innerText?.includes('holiday.png')")
    top = "document.activeElement.getBoundingClientRect().top"
    assert 0 < await alice.evaluate(top) < 400

    await alice.set_viewport_size({"width": 1280, "height": 800})
    await details(alice)  # they covered the chat, and closed; now both have place
    await act(alice, ".remove", f'li[data-key="{await row_of(alice, "notes.txt")}"]')
    await expect(alice.locator(LISTED)).to_have_text(["holiday.png"])  # at once, and not for good
    await alice.click(".toast [data-action=act]")
    await expect(alice.locator(LISTED)).to_have_text(["notes.txt", "holiday.png"])


async def row_of(page: Page, text: str) -> str | None:
    """The key of the row that shows a text."""
    return await page.locator("#messages li", has_text=text).get_attribute("data-key")


async def test_a_picture_has_its_own_shape(
    context: BrowserContext,
    phone: BrowserContext,
    dev_url: str,
    names: tuple[str, str],
    tmp_path: Path,
) -> None:
    """A picture has the room of its own proportions before it is here, also on a telephone."""
    wide = tmp_path / "wide.png"
    wide.write_bytes(png(640, 320))
    alice = await signed_in(context, dev_url, names[0])
    bob = await signed_in(context, dev_url, names[1])
    for page in (alice, bob):
        await page.set_viewport_size({"width": 1280, "height": 800})
    await bob.route(re.compile("X-Amz-Signature"), lambda route: route.abort())
    await group(alice, "Pictures", names[1])
    await send_files(alice, wide)
    place = "(({width, height}) => [width, height])"
    place += "(document.querySelector('#messages .picture').getBoundingClientRect())"
    await until(alice, f"{place}.join() === '320,160'")
    await bob.click("#rooms li button")
    await expect(bob.locator("#messages .picture.missing").first).to_be_attached()
    assert await bob.evaluate(place) == [320, 160]
    alice = await signed_in(phone, dev_url, names[0])
    await alice.click("#rooms li button")
    bubble = "document.querySelector('#messages .bubble').getBoundingClientRect().right"
    inside = "document.querySelector('#messages .picture').getBoundingClientRect().right"
    await until(alice, f"document.querySelector('#messages .picture') && {inside} < {bubble}")
    width, height = await alice.evaluate(place)
    assert abs(width - 2 * height) <= 1


async def test_a_very_long_picture_has_a_frame_that_fits(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """High, wide, of a telephone's screen, tiny: the picture fills its frame, in its shape."""
    alice = await in_direct_room(context, dev_url, names)
    for (width, height), frame_size in (
        ((200, 1000), (96, 320)),
        ((1000, 20), (320, 44)),
        ((1080, 2400), (144, 320)),
        ((16, 12), (96, 72)),
    ):
        picture = tmp_path / f"{width}.png"
        picture.write_bytes(png(width, height))
        await send_files(alice, picture)
        last = "document.querySelector('#messages li:last-child .picture img')"
        await until(alice, f"{last}?.alt === '{width}.png' && {last}.closest('.sized')")
        frame, image = (
            f"(({{width, height}}) => [Math.round(width), Math.round(height)])"
            f"({last}{part}.getBoundingClientRect())"
            for part in (".parentNode", "")
        )
        assert await alice.evaluate(frame) == [*frame_size]
        assert await alice.evaluate(image) == [*frame_size]
        fit = await alice.evaluate(f"getComputedStyle({last}).objectFit")
        assert fit == ("cover" if width in (200, 1000) else "scale-down")


async def test_a_list_of_which_all_is_hidden_says_so(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Not that there are no chats yet."""
    alice = await in_direct_room(context, dev_url, names)
    await details(alice)
    await alice.click("#hide")
    await expect(alice.locator("#archive")).to_be_visible()
    assert await alice.inner_text("#no-rooms") == "All chats are hidden."


async def test_a_wrong_name_leads_back_to_its_field(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Of a person, of a group, and of its members, after a click on the button."""
    alice = await signed_in(context, dev_url, names[0])
    await alice.click("#new")
    for form, field, text in (
        ("direct", "user", "no name"),
        ("group", "name", " "),
        ("group", "members", "no/näme"),
    ):
        if field == "members":
            await write(alice, "#new-group [name=name]", "Team")
        await write(alice, f"#new-{form} [name={field}]", text)
        await alice.focus(f"#new-{form} .primary")
        await alice.click(f"#new-{form} .primary")
        assert await alice.evaluate("document.activeElement.name") == field
