"""What the page shows while there is no connection, and what comes of it."""

from __future__ import annotations

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    act,
    both_with_direct_room,
    cut,
    details,
    group,
    in_direct_room,
    in_group_details,
    opened,
    reconnect,
    say,
    signed_in,
    use_tool,
    write,
)
from tests.helpers.commands import ok
from tests.helpers.world import World

TEXTS = "#messages .bubble p"
WAITING = "#messages .mark.sending"


async def test_a_text_that_waits_can_be_cancelled(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Each has a button beside it, in its own line, while there is no connection."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "before")
    await expect(alice.locator("#messages .mark.queued")).to_have_count(1)
    assert await alice.locator("#messages .discard").count() == 0
    await cut(alice)
    await say(alice, "stays", "goes")
    await expect(alice.locator(WAITING)).to_have_count(2)
    cancel = alice.locator("#messages .discard")
    await expect(cancel).to_have_count(2)
    for row in (alice.locator("#messages li").nth(index) for index in (0, 1)):
        bubble = await row.locator(".bubble").bounding_box()
        whole = await row.locator(".line").bounding_box()
        assert bubble
        assert whole
        assert whole["height"] == bubble["height"]
    await expect(cancel.last).to_have_attribute("aria-label", "Cancel, You: goes")
    await cancel.last.click()
    await expect(alice.locator(TEXTS)).to_have_text(["before", "stays"])
    await reconnect(alice)
    await expect(alice.locator(WAITING)).to_have_count(0)
    await expect(cancel).to_have_count(0)
    await alice.reload()
    await expect(alice.locator(TEXTS)).to_have_text(["before", "stays"])


async def test_signing_out_tells_of_what_is_not_sent(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """It asks, with how many there are; who comes back to this browser sends them."""
    alice_id, bob_id = names
    alice = await in_direct_room(context, dev_url, names)
    await cut(alice)
    await say(alice, "one", "two")
    await expect(alice.locator(WAITING)).to_have_count(2)
    await alice.click("#own-menu summary")
    await alice.click("#sign-out")
    await expect(alice.locator("#sign-out-form p")).to_have_text(
        "2 messages are not sent yet. This browser keeps that, and sends it when"
        f" {alice_id} signs in here again."
    )
    await alice.click("#sign-out-form button:text('Cancel')")
    await expect(alice.locator("dialog")).to_have_count(0)
    await alice.click("#sign-out")
    await context.set_offline(False)  # or the browser shows its own page of an error
    await alice.click("#sign-out-form .danger")
    await expect(alice.locator("#sign-in")).to_be_visible()
    alice = await signed_in(context, dev_url, alice_id)
    await alice.click("#rooms li button")
    await opened(alice, bob_id)
    await expect(alice.locator(TEXTS)).to_have_text(["one", "two"])
    await expect(alice.locator("#messages .mark.queued")).to_have_count(2)
    await alice.click("#own-menu summary")
    await alice.click("#sign-out")
    await expect(alice.locator("#sign-in")).to_be_visible()


async def test_changes_show_at_once_and_say_that_they_wait(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A new text, a reaction, a deletion, mute: each with a clock, until the server has them."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await say(alice, "helo", "second", "third")
    await expect(alice.locator("#messages .mark.delivered")).to_have_count(3)
    await bob.click("#rooms li button")
    await expect(bob.locator(TEXTS)).to_have_text(["helo", "second", "third"])
    await bob.evaluate("document.activeElement.blur()")
    await alice.set_viewport_size({"width": 1280, "height": 800})
    await details(alice)
    await cut(alice)
    await act(alice, ".edit", "#messages li:first-child")
    await alice.fill("#compose textarea", "hello")
    await alice.press("#compose textarea", "Enter")
    for _ in range(3):  # on, off and on again
        await use_tool(alice, ".react", "#messages li:nth-child(2)")
    await act(alice, ".remove")
    await alice.click("#toasts [aria-label=Close]")
    await alice.click("#mute")
    await expect(alice.locator(TEXTS)).to_have_text(["hello", "second", "Message deleted"])
    await expect(alice.locator("#messages .reactions .react")).to_have_text(["👍 1"])
    said = [
        "The new text is not saved yet.",
        "The reaction is not saved yet.",
        "Not deleted for others yet.",
    ]
    clocks = alice.locator("#messages .pending")
    await expect(clocks).to_have_count(3)
    for n, sentence in enumerate(said):
        await expect(clocks.nth(n)).to_be_visible()
        await expect(clocks.nth(n)).to_have_accessible_name(sentence)
    waiting = "waiting for the connection"
    await expect(alice.locator("#messages .waiting")).to_have_text([waiting] * 3)
    await expect(alice.locator("#mute")).to_have_text(f"Unmute{waiting}")
    await expect(alice.locator("#rooms .preview")).to_have_text("You: Message deleted")
    await alice.click("#own-menu summary")
    await alice.click("#sign-out")
    await expect(alice.locator("#sign-out-form p")).to_contain_text("4 changes are not saved yet.")
    await alice.click("#sign-out-form button:text('Cancel')")
    await reconnect(alice)
    await expect(clocks).to_have_count(0)
    await expect(alice.locator("#mute")).to_have_text("Unmute")
    await expect(bob.locator(TEXTS)).to_have_text(["hello", "second", "Message deleted"])
    await expect(bob.locator("#messages .reactions .react")).to_have_text(["👍 1"])


async def test_an_edit_that_is_refused_later_keeps_its_text(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """The message says why; its text can be taken up again, or given up."""
    alice_id = names[0]
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "helo", "mine")
    await expect(alice.locator("#messages .mark.queued")).to_have_count(2)
    room_id = await alice.evaluate("location.hash.slice(1)")
    await cut(alice)
    await act(alice, ".edit", "#messages li:first-child")
    await alice.fill("#compose textarea", "hello")
    await alice.press("#compose textarea", "Enter")
    await write(alice, "#compose textarea", "a draft")
    async with world.js(alice_id) as a:
        found = await ok(a, "message.list", {"room_id": room_id})
        gone = {"room_id": room_id, "message_id": found["messages"][0]["message_id"]}
        await ok(a, "message.delete", gone)
    await reconnect(alice)
    why = alice.locator("#messages li:first-child .error span")
    await expect(why).to_have_text("The new text was not saved. This does not exist any more.")
    assert await alice.input_value("#compose textarea") == "a draft"
    await alice.click("#messages li:first-child .dismiss")
    await expect(why).to_have_count(0)


async def test_a_new_text_of_a_message_that_was_deleted_becomes_a_new_message(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """Sent without a connection, typed while it is deleted, or kept at it: never an edit again."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "first", "second", "third")
    await expect(alice.locator("#messages .mark.queued")).to_have_count(3)
    room_id = await alice.evaluate("location.hash.slice(1)")
    field, told = alice.locator("#compose textarea"), alice.locator(".toast.failure > span")
    anew = "That message was deleted. Your text is in the field, as a new message."
    async with world.js(names[0]) as a:
        found = await ok(a, "message.list", {"room_id": room_id})
        ids = {message["text"]: message["message_id"] for message in found["messages"]}
        await cut(alice)
        await act(alice, ".edit", "#messages li:first-child")
        await alice.fill("#compose textarea", "first, better")
        await alice.press("#compose textarea", "Enter")
        await ok(a, "message.delete", {"room_id": room_id, "message_id": ids["first"]})
        await reconnect(alice)
        await expect(field).to_have_value("first, better")
        await expect(told).to_have_text(anew)
        await expect(alice.locator("#banner")).to_be_hidden()
        await alice.press("#compose textarea", "Enter")
        await expect(alice.locator(TEXTS).last).to_have_text("first, better")
        await alice.click(".toast.failure")
        await write(alice, "#compose textarea", "a draft")
        await act(alice, ".edit", "#messages li:nth-child(2)")
        await alice.fill("#compose textarea", "second, better")
        await ok(a, "message.delete", {"room_id": room_id, "message_id": ids["second"]})
        await expect(told).to_have_text(anew)
        await expect(field).to_have_value("a draft\nsecond, better")
        await alice.fill("#compose textarea", "")
        await alice.click(".toast.failure")
        await cut(alice)
        await act(alice, ".edit", "#messages li:nth-child(3)")
        await alice.fill("#compose textarea", "third, better")
        await alice.press("#compose textarea", "Enter")
        await write(alice, "#compose textarea", "busy")
        await ok(a, "message.delete", {"room_id": room_id, "message_id": ids["third"]})
    await reconnect(alice)
    await alice.click("#messages li:nth-child(3) :text('Write it as a new message')")
    await expect(field).to_have_value("busy\nthird, better")
    await expect(field).to_be_focused()
    await expect(alice.locator("#messages .error")).to_have_count(0)


async def test_what_shows_only_when_it_is_done_is_told_to_wait(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A new name of a group, say: the user hears of it now, and sees it later."""
    alice = await in_group_details(context, dev_url, names)
    await cut(alice)
    await alice.fill("#rename input", "Crew")
    await alice.press("#rename input", "Enter")
    toast = alice.locator(".toast > span")
    await expect(toast).to_have_text("No connection. This is done as soon as there is one.")
    assert await alice.text_content("#title") == "Team"
    await reconnect(alice)
    await opened(alice, "Crew")


async def test_a_text_written_while_the_server_is_away_survives_a_reload(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A page that has had no session shows it again after each reload, and it is sent once."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "before")
    await expect(alice.locator("#messages .mark.queued")).to_have_count(1)
    await context.route("**/dev/token*", lambda route: route.abort())
    await alice.reload()
    await expect(alice.locator(".bar:visible")).to_have_count(1)
    await say(alice, "while it is away")
    await write(alice, "#compose textarea", "a draft")
    for _ in range(2):
        await expect(alice.locator(TEXTS)).to_have_text(["while it is away"])
        await expect(alice.locator(WAITING)).to_have_count(1)
        await alice.reload()
        await expect(alice.locator("#compose textarea")).to_have_value("a draft")
    await context.unroute("**/dev/token*")
    await reconnect(alice)
    await expect(alice.locator(TEXTS)).to_have_text(["before", "while it is away"])
    await expect(alice.locator("#messages .mark.queued")).to_have_count(2)
    await alice.reload()
    await expect(alice.locator(TEXTS)).to_have_text(["before", "while it is away"])


async def test_a_chat_that_begins_without_a_connection_is_written_in_at_once(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """It says why it waits, keeps what is sent and typed meanwhile, and begins with it."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    await group(alice, "Team")
    await cut(alice)
    await alice.click("#new")
    await write(alice, "#new-direct input", bob_id, enter=True)
    await expect(alice.locator("#compose textarea")).to_be_focused()
    await alice.keyboard.insert_text("one")
    for text in ("two", "three", "a draft"):
        await alice.keyboard.press("Enter")
        await alice.keyboard.insert_text(text)
    await expect(alice.locator("#scroll .hint:visible")).to_have_text(
        "This chat begins as soon as there is a connection. What you write waits here."
    )
    sent = alice.locator("#opening .bubble p")
    await expect(sent).to_have_text(["one", "two", "three"])
    await alice.click("#opening li:nth-child(2) button")
    await expect(sent).to_have_text(["one", "three"])
    await alice.click("#rooms li:has-text('Team') button")
    await opened(alice, "Team")
    await expect(sent).to_have_count(0)
    assert await alice.input_value("#compose textarea") == ""
    begun = alice.locator(f"#rooms li:has-text('{bob_id}') button")
    await expect(begun.locator(".preview")).to_have_text("Draft: a draft")
    await begun.click()
    await expect(sent).to_have_text(["one", "three"])
    assert await alice.evaluate("!dispatchEvent(new Event('beforeunload', {cancelable: true}))")
    await reconnect(alice)
    await opened(alice, bob_id)
    await expect(alice.locator(TEXTS)).to_have_text(["one", "three"])
    await expect(alice.locator("#messages .mark.queued")).to_have_count(2)
    assert await alice.input_value("#compose textarea") == "a draft"
    assert await alice.evaluate("dispatchEvent(new Event('beforeunload', {cancelable: true}))")
