"""The sample of the documentation, as a back end would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from rts_chat import RestClient, sign_token
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import World, name

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_sample_of_the_documentation_runs(world: World) -> None:
    """It declares a room, and its message is there."""
    (sample,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    order, alice = name("order"), name("alice")
    for ours, theirs in (
        ("https://chat.example.com", world.urls[0]),
        ('"order-7"', f'"{order}"'),
        ('"alice"', f'"{alice}"'),
    ):
        assert ours in sample
        sample = sample.replace(ours, theirs)
    secret = world.stack.settings.jwt_secret
    environment = os.environ | {"RTS_JWT_SECRET": secret}
    command = [sys.executable, "-W", "error", "-c", sample]
    subprocess.run(command, check=True, env=environment, timeout=PATIENCE)
    with RestClient(world.urls[0], sign_token(secret, sub="test", scope="operator")) as rest:
        room = rest.room_declare(order)
        assert (room["created"], room["room"]["name"]) == (False, "Order 7")
        (message,) = rest.message_page(room["room"]["room_id"])["messages"]
        assert (message["text"], message["sender_id"]) == ("Shipped.", "shop")
