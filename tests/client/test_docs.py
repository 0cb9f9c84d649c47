"""What docs/client.md says of presence and refusals, against a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from rts_server.tools.dev.stack import SECRET_FILE
from rts_server.types.objects import Presence
from tests.helpers.chat_package import ChatPackage
from tests.helpers.world import World, name

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
REFUSALS = re.findall(r"^\| `(.+)` \| `(\w+)` \| `(\{.*\})` \|$", PAGE, re.MULTILINE)
"""Call, code and details of each row."""


@pytest.mark.parametrize("page", ["client.md", "tokens.md"])
def test_the_secret_of_a_try_is_named(page: str) -> None:
    """Who signs tokens for the server of `make run` is told where its secret is."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    assert f"RTS_JWT_SECRET=$(cat .rts/{SECRET_FILE})" in text


def test_the_readme_says_what_to_do_where_the_port_is_taken() -> None:
    """The command is the one that `make help` lists, with an option of `rts-server dev`."""
    root = Path(__file__).parents[2]
    assert 'make run ARGS="--port 8001"' in (root / "README.md").read_text()
    assert "$(BIN)/rts-server dev $(ARGS)" in (root / "Makefile").read_text()


def test_every_state_of_a_presence_is_described() -> None:
    """The table has the states of the protocol, in its order."""
    (table,) = re.findall(r"^\| state \| meaning \|\n\| --- \| --- \|\n((?:\|.+\n)+)", PAGE, re.M)
    described = re.findall(r"^\| `(\w+)` \| \S", table, re.MULTILINE)
    assert described == list(get_args(get_type_hints(Presence)["state"]))


@pytest.mark.parametrize(("call", "code", "details"), REFUSALS, ids=[row[0] for row in REFUSALS])
async def test_a_refused_call_has_the_details_of_the_page(
    call: str, code: str, details: str, world: World
) -> None:
    """Each row of the table is run: its code, and its details word by word."""
    me = name("alice")
    async with ChatPackage() as page:
        await page.connect("alice", world.urls[0], world.token(me))
        refused = await page.run(
            f"return clients.alice.{call}.catch(({{ code, details }}) => [code, details])", me=me
        )
    assert refused == [code, json.loads(details)]
