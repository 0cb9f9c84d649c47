"""The package `client/` against a real server: what an application sees."""

from __future__ import annotations

import pytest

from tests.helpers.chat_package import ChatPackage
from tests.helpers.rest import Rest
from tests.helpers.world import World, name

TEXTS = "clients[who].room(room_id).state.value.messages.map((m) => m.text).join()"


async def test_two_people_chat(world: World) -> None:
    """List, room, send, unread, receipts and typing of two clients agree."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice))
        await page.connect("bob", world.urls[0], world.token(bob))
        room_id = await page.run(
            "const room = await clients.alice.direct(bob); room.watch();"
            "room.send({text: 'one'}); room.send({text: 'two'}); return room.room_id",
            bob=bob,
        )
        await page.until("clients.bob.unread.value.total === 2")
        await page.until(
            "clients.bob.rooms().value[0].title === alice"
            " && clients.bob.rooms().value[0].last_message.preview === 'two'",
            alice=alice,
        )
        await page.run("clients.bob.room(room_id).watch()", room_id=room_id)
        for who in ("alice", "bob"):
            await page.until(f"{TEXTS} === 'one,two'", who=who, room_id=room_id)
        statuses = "clients.alice.room(room_id).state.value.messages.map((m) => m.status).join()"
        await page.until(f"{statuses} === 'delivered,delivered'", room_id=room_id)
        await page.run("clients.bob.room(room_id).markVisible(1)", room_id=room_id)
        await page.until(f"{statuses} === 'read,delivered'", room_id=room_id)
        await page.until("clients.bob.unread.value.total === 1")
        await page.run("clients.bob.room(room_id).typing()", room_id=room_id)
        typing = "clients.alice.room(room_id).state.value.typing.join()"
        await page.until(f"{typing} === bob", room_id=room_id, bob=bob)
        await page.run("clients.bob.room(room_id).send({text: 'three'})", room_id=room_id)
        await page.until(f"{typing} === ''", room_id=room_id)
        await page.until("clients.bob.unread.value.total === 0")
        await page.until(f"{TEXTS} === 'one,two,three'", who="alice", room_id=room_id)


@pytest.mark.parametrize("watched", [True, False])
async def test_what_is_read_before_the_room_is_known_is_read(world: World, watched: bool) -> None:
    """Others see it too: a page may say it as soon as it has the id of the room."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice))
        room_id = await page.run(
            "const room = await clients.alice.direct(bob); room.watch();"
            "for (const text of ['one', 'two', 'three']) room.send({ text }); return room.room_id",
            bob=bob,
        )
        await page.until(f"{TEXTS} === 'one,two,three'", who="alice", room_id=room_id)
        await page.run(
            "clients.bob = chat.createClient({ url, getToken: () => token });"
            "const room = clients.bob.room(room_id); if (watched) room.watch();"
            "room.markVisible(2); clients.bob.connect();",
            url=world.urls[0],
            token=world.token(bob),
            room_id=room_id,
            watched=watched,
        )
        await page.until("clients.bob.unread.value.total === 1")
        statuses = "clients.alice.room(room_id).state.value.messages.map((m) => m.status).join()"
        await page.until(f"{statuses} === 'read,read,delivered'", room_id=room_id)


async def test_a_direct_room_is_known_once_it_is_made(world: World) -> None:
    """Its title and partner stand in its state and in the list, for a new room and an old one."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        for device in ("alice", "alice2"):
            await page.connect(device, world.urls[0], world.token(alice))
            known = await page.run(
                "const room = await clients[device].direct(bob);"
                "const one = ({ room_id }) => room_id === room.room_id;"
                "return [room.state.value, clients[device].rooms().value.find(one)]"
                ".map(({ title, partner }) => [title, partner])",
                device=device,
                bob=bob,
            )
            assert known == [[bob, bob], [bob, bob]]


async def test_the_commands_of_a_group_work(world: World) -> None:
    """Members, roles, edits, reactions, replies, mute, hide, leave, as all devices see them."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice, name="Alice"))
        await page.connect("bob", world.urls[0], world.token(bob))
        await page.connect("bob2", world.urls[0], world.token(bob))
        room_id = await page.run(
            "kept.room = await clients.alice.group({ name: 'Team' }); kept.room.watch();"
            "await kept.room.members.add([bob]); return kept.room.room_id",
            bob=bob,
        )
        await page.until("clients.bob2.rooms().value[0]?.title === 'Team'")
        await page.run(
            "for (const who of ['bob', 'bob2']) clients[who].room(room_id).watch();"
            "kept.room.send({ text: 'one' })",
            room_id=room_id,
        )
        last = "clients[who].room(room_id).state.value.messages.at(-1)"
        await page.until(f"{last}?.text === 'one'", who="bob2", room_id=room_id)
        await page.run(
            f"const room = clients.bob.room(room_id); const {{ message_id }} = {last};"
            "await room.react(message_id, '👍'); room.send({ text: 'two', replyTo: message_id })",
            who="bob",
            room_id=room_id,
        )
        shown = "clients[who].room(room_id).state.value.messages"
        for who in ("alice", "bob", "bob2"):
            await page.until(
                f"{shown}.at(-1).reply_to === {shown}.at(-2).message_id"
                f" && {shown}.at(-2).reactions['👍'].count === 1",
                who=who,
                room_id=room_id,
            )
        await page.run(
            f"await clients.bob.room(room_id).edit({last}.message_id, {{ text: 'TWO' }})",
            who="bob",
            room_id=room_id,
        )
        await page.until(f"{last}.text === 'TWO' && {last}.edited_at", who="alice", room_id=room_id)
        await page.run("await kept.room.members.setRole(bob, 'admin')", bob=bob)
        role = "clients.bob2.room(room_id).state.value.role"
        await page.until(f"{role} === 'admin'", room_id=room_id)
        await page.run("await clients.bob.room(room_id).mute()", room_id=room_id)
        await page.until("clients.bob2.room(room_id).state.value.muted", room_id=room_id)
        await page.run("await clients.bob.room(room_id).hide()", room_id=room_id)
        await page.until("clients.bob2.rooms({ hidden: true }).value.length === 1")
        assert await page.run("return clients.bob2.rooms().value") == []
        await page.run("kept.room.send({ text: 'three' })")
        await page.until("clients.bob2.rooms().value.length === 1")
        assert await page.run("return clients.bob2.unread.value.total") == 0  # muted
        code = await page.run(
            "return kept.room.leave().catch((error) => [error.code, error.retryable])"
        )
        assert code == ["conflict", False]  # the last owner
        await page.run("await clients.bob.room(room_id).leave()", room_id=room_id)
        await page.until("clients.bob2.room(room_id).state.value.gone", room_id=room_id)
        await page.until("clients.bob2.rooms().value.length === 0")
        await page.until("kept.room.state.value.members.length === 1")


async def test_a_title_is_a_name_once_its_owner_was_there(world: World) -> None:
    """The name in a token, of who is added to a room as of who creates it, online or later."""
    alice, bob, carol = name("alice"), name("bob"), name("carol")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice, name="Alice"))
        await page.connect("bob", world.urls[0], world.token(bob, name="Bob"))
        titles = "clients.alice.rooms().value.map(({ title }) => title).sort().join()"
        await page.run(
            "await clients.alice.direct(bob); await clients.alice.direct(carol);"
            "kept.group = await clients.alice.group({ name: 'All', members: [bob] });"
            "kept.group.watch(); await kept.group.members.add([carol])",
            bob=bob,
            carol=carol,
        )
        await page.until(f"{titles} === wanted", wanted=f"All,Bob,{carol}")
        await page.connect("carol", world.urls[0], world.token(carol, name="Carol"))
        await page.until(f"{titles} === 'All,Bob,Carol'")
        await page.until("clients.carol.rooms().value.some(({ title }) => title === 'Alice')")
        members = "kept.group.state.value.members.map(({ name }) => name).join()"
        await page.until(f"{members} === 'Alice,Bob,Carol'")


async def test_who_wrote_last_in_a_group_has_a_name(world: World) -> None:
    """A list names them beside what they wrote, though nobody has opened the group."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        await page.connect("bob", world.urls[0], world.token(bob, name="Bob"))
        await page.run(
            "kept.group = await clients.bob.group({ name: 'All', members: [alice] });"
            "kept.group.send({ text: 'hi' })",
            alice=alice,
        )
        await page.connect("alice", world.urls[0], world.token(alice))
        await page.until("clients.alice.rooms().value[0]?.last_message?.preview === 'hi'")
        await page.until(
            "clients.alice.rooms().value && clients.alice.name(bob) === 'Bob'", bob=bob
        )
        await page.run("asked.length = 0; clients.alice.rooms().value")
        assert await page.run("return asked") == []


async def test_a_new_name_is_shown_everywhere(world: World) -> None:
    """A back end renames a user: title, members and `name` of everybody's clients follow."""
    alice, bob = name("alice"), name("bob")
    async with (
        ChatPackage() as page,
        Rest(world.urls[0], world.token("ops", scope="operator")) as ops,
    ):
        await page.connect("alice", world.urls[0], world.token(alice, name="Alice"))
        await page.connect("bob", world.urls[0], world.token(bob))
        room_id = await page.run(
            "return (await clients.alice.direct(bob)).room_id",
            bob=bob,
        )
        await page.run("clients.bob.room(room_id).watch()", room_id=room_id)
        shown = (
            "clients.bob.rooms().value[0]?.title === now && clients.bob.name(alice) === now"
            " && clients.bob.room(room_id).state.value.members"
            ".some(({ name }) => name === now)"
        )
        for now in ("Alice", "Zoë"):
            if now != "Alice":
                await ops.ok("PATCH", f"/v1/users/{alice}", {"name": now})
            await page.until(shown, room_id=room_id, alice=alice, now=now)


async def test_history_is_read_in_windows(world: World) -> None:
    """Pages up, a jump into the middle and the way back leave no hole and nothing twice."""
    alice = name("alice")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice))
        await page.run(
            "kept.room = await clients.alice.group({ name: 'Long' });"
            "for (let n = 1; n <= 130; n += 1) kept.room.send({ text: String(n) });"
        )
        await page.until("clients.alice.rooms().value[0]?.seq === 130")
        await page.run("kept.room.watch()")
        seqs = "kept.room.state.value.messages.map((m) => m.seq)"
        await page.until(f"{seqs}.length === 50")
        await page.run("await kept.room.older()")
        assert await page.run(f"return {seqs}") == list(range(31, 131))
        await page.run("await kept.room.around(20)")
        assert await page.run(f"return {seqs}") == list(range(1, 45))
        await page.run("kept.room.send({ text: 'unseen' })")
        await page.until("clients.alice.rooms().value[0].seq === 131")
        assert await page.run(f"return {seqs}") == list(range(1, 45))
        await page.run("await kept.room.newer(); await kept.room.newer()")
        assert await page.run(f"return {seqs}") == list(range(1, 132))
        assert await page.run("return kept.room.state.value.hasNewer") is False
        await page.run("kept.room.send({ text: 'seen' })")
        await page.until(f"{seqs}.at(-1) === 132")
        await page.run("await kept.room.older()")  # nothing is left
        assert await page.run("return kept.room.state.value.hasOlder") is False


async def test_a_link_to_a_message_works_before_the_first_session(world: World) -> None:
    """What is around a message is held, whether the room is watched or not."""
    alice = name("alice")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice))
        room_id = await page.run(
            "kept.room = await clients.alice.group({ name: 'Long' });"
            "for (let n = 1; n <= 130; n += 1) kept.room.send({ text: String(n) });"
            "return kept.room.room_id"
        )
        await page.until("clients.alice.rooms().value[0]?.seq === 130")
        for watch in ("", "room.watch();"):
            seqs = await page.run(
                "const client = chat.createClient({ url, getToken: () => token });"
                "client.connect(); const room = client.room(room_id);"
                f"{watch} await room.around(20);"
                "await room.message('unknown').catch(() => 0);"
                "client.close(); return room.state.value.messages.map(({ seq }) => seq)",
                url=world.urls[0],
                token=world.token(alice),
                room_id=room_id,
            )
            assert seqs == list(range(1, 45))


async def test_presence_is_watched_while_it_has_subscribers(world: World) -> None:
    """The others of a room are online and away; nobody is, without a connection."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice))
        await page.connect("bob", world.urls[0], world.token(bob))
        await page.run(
            "kept.presence = clients.alice.presence([bob, 'nobody']);"
            "kept.stop = kept.presence.subscribe(() => {})",
            bob=bob,
        )
        await page.until("asked.includes('presence.watch')")
        await page.run("await clients.alice.direct(bob)", bob=bob)  # strangers until now
        await page.until("kept.presence.value[bob]?.state === 'online'", bob=bob)
        await page.run("await clients.bob.setPresence('away', 'lunch')")
        await page.until("kept.presence.value[bob].status_text === 'lunch'", bob=bob)
        assert await page.run("return Object.keys(kept.presence.value)") == [bob]
        await page.run("clients.alice.close()")
        await page.until("Object.keys(kept.presence.value).length === 0")
        await page.run("clients.alice.connect()")
        await page.until("kept.presence.value[bob]?.state === 'away'", bob=bob)
        await page.run("kept.stop(); asked.length = 0")
        await page.until("asked.includes('presence.watch')")


async def test_files_are_sent_and_shown(world: World) -> None:
    """Through the store to the other member, with an address that works; a refused one says why."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(alice))
        await page.connect("bob", world.urls[0], world.token(bob))
        room_id = await page.run(
            "kept.room = await clients.alice.direct(bob); kept.room.watch();"
            "kept.room.send({ text: 'see', files: [new File(['notes'], 'notes.txt',"
            " { type: 'text/plain' })] }); kept.room.send({ text: 'at once' });"
            "return kept.room.room_id",
            bob=bob,
        )
        await page.run("clients.bob.room(room_id).watch()", room_id=room_id)
        file = (
            "clients.bob.room(room_id).state.value.messages.find((m) => m.attachments.length === 1)"
        )
        await page.until(f"{file}?.text === 'see'", room_id=room_id)
        got = await page.run(
            f"const {{ message_id, attachments }} = {file};"
            "const room = clients.bob.room(room_id); const { attachment_id } = attachments[0];"
            "const url = await room.fileUrl(message_id, attachment_id);"
            "const again = await room.fileUrl(message_id, attachment_id);"
            "return [await (await fetch(url)).text(), url === again]",
            room_id=room_id,
        )
        assert got == ["notes", True]
        await page.run("kept.room.send({ files: [new Blob(['a recording'])] })")
        await page.until(
            "clients.bob.room(room_id).state.value.messages.at(-1).attachments[0]?.name === 'file'",
            room_id=room_id,
        )
        await page.run("kept.room.send({ files: [new File([''], 'empty.txt')] })")
        refused = "kept.room.state.value.messages.find((m) => m.status === 'refused')"
        await page.until(f"{refused}?.error.code === 'invalid_param'")
        await page.run(f"{refused}.discard()")
        assert await page.run("return kept.room.state.value.messages.length") == 3


async def test_a_burst_costs_few_reports_and_no_list(world: World) -> None:
    """Receipts leave at the server's interval for all rooms; the list is read once, by pages."""
    alice, bob = name("alice"), name("bob")
    async with ChatPackage() as page, ChatPackage() as reader:
        await page.connect("alice", world.urls[0], world.token(alice))
        await reader.connect("bob", world.urls[0], world.token(bob))
        await reader.until("clients.bob.unread.value.total === 0")
        rooms = await page.run(
            "const rooms = []; for (let n = 0; n < 8; n += 1) rooms.push(await clients.alice"
            ".group({ name: `Room ${n}`, members: [bob] })); kept.rooms = rooms;"
            "return rooms.map((room) => room.room_id)",
            bob=bob,
        )
        await reader.until("clients.bob.rooms().value.length === 8")
        await reader.run(
            "asked.length = 0; kept.began = Date.now();"
            "clients.bob.on('message.new', (event) => clients.bob.room(event.room_id)"
            ".markVisible(event.data.message.seq))"
        )
        await page.run(
            "for (let n = 0; n < 20; n += 1)"
            "  for (const room of kept.rooms) room.send({ text: 'x' })"
        )
        await reader.until("clients.bob.rooms().value.every((r) => r.seq === 20)")
        await reader.until(
            "asked.filter((n) => n === 'receipt.read').length >= 8"
            " && clients.bob.unread.value.total === 0"
        )
        asked, took = await reader.run("return [asked, Date.now() - kept.began]")
        intervals = took / 1000 + 2
        assert asked.count("receipt.delivered") <= intervals
        assert asked.count("receipt.read") <= len(rooms) * intervals
        assert asked.count("member.list") <= 1  # what is the one called who wrote in all of them?
        assert set(asked) <= {"receipt.delivered", "receipt.read", "member.list"}
