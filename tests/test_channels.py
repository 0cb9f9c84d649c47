"""The names of channels, on one server and on a cluster."""

from __future__ import annotations

import pytest

from rts_server import keys
from rts_server.channels import CLUSTER, ONE_SERVER, Channels
from rts_server.redis_client.slots import slot_of

USERS = ("alice", "a:channel:b", "{p1}", "{x}:channel:alice", "room:a")
ROOMS = ("a", keys.direct_room_id("alice", "bob"))


def test_one_server_has_the_names_of_the_release_before() -> None:
    """Instances of two releases hear each other (R6)."""
    assert ONE_SERVER.room("a") == keys.room_channel("a") == "room:a"
    assert ONE_SERVER.user("a b") == keys.user_channel("a b") == "user:a%20b"
    assert ONE_SERVER.presence("{a}") == keys.presence_channel("{a}") == "presence:{a}"


def test_on_a_cluster_a_channel_lies_in_the_slot_of_its_data() -> None:
    """So the script that changes these publishes, too."""
    for room_id in ROOMS:
        slot = slot_of(keys.room(room_id).head)
        assert slot_of(CLUSTER.room(room_id)) == slot
    for user_id in USERS:
        assert slot_of(CLUSTER.user(user_id)) == slot_of(keys.user_rooms(user_id))
        group = keys.PRESENCE_GROUPS[keys.presence_group(user_id, len(keys.PRESENCE_GROUPS))]
        assert slot_of(CLUSTER.presence(user_id)) == slot_of(group.instances)


@pytest.mark.parametrize("channels", [ONE_SERVER, CLUSTER], ids=["one server", "cluster"])
def test_a_name_says_what_it_is_the_channel_of(channels: Channels) -> None:
    """No name of one kind is taken for one of another, whatever ids are made of."""
    others = [keys.INSTANCES, keys.instance_channel("i"), keys.outbox(1)]
    others += [channels.user(user_id) for user_id in USERS]
    rooms = {channels.room(room_id): room_id for room_id in ROOMS}
    presences = {channels.presence(user_id): user_id for user_id in USERS}
    for name in (*others, *rooms, *presences):
        assert channels.room_of(name) == rooms.get(name)
        assert channels.presence_user_of(name) == presences.get(name)
    assert len({*others, *rooms, *presences}) == len(others) + len(rooms) + len(presences)


def test_publishing_is_another_command_on_a_cluster() -> None:
    """And so are what goes before scripts, and the words that Redis pushes."""
    assert ONE_SERVER.publication("c", "text") == ("PUBLISH", "c", "text")
    assert CLUSTER.publication("c", b"text") == ("SPUBLISH", "c", b"text")
    assert (CLUSTER.subscribed, CLUSTER.message) == (b"ssubscribe", b"smessage")
    assert (ONE_SERVER.unsubscribed, ONE_SERVER.message) == (b"unsubscribe", b"message")
