"""The release before this one, from the history of the repository: its processes and scripts."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rts_server.persistence.scripts import LuaFunction, Script

ROOT = Path(__file__).parents[2]
PREVIOUS_RELEASE = "0cedd64218068281577c549c79d13fe9555087ac"
"""A commit. This release and that one may run side by side; moved when a release is made."""


def environment(folder: Path) -> dict[str, str]:
    """Unpack its sources; return the environment in which `python -m rts_server` runs them."""
    packed = subprocess.run(
        ["git", "archive", PREVIOUS_RELEASE, "rts_server"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    # The working directory would be searched first, and the tests run in that of this release.
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


_SCRIPTS = """
import json
from rts_server.config import Settings
from rts_server.roomlog import recorded, rehydrate, script
from rts_server.roomlog.append_call import append_call, instance_text
from rts_server.roomlog.message_events import message_new
from rts_server.views import snapshots
request = message_new("room", "alice", {"client_msg_id": "m", "text": "hi"})
instance = instance_text(Settings(jwt_secret="x"), "origin")
call = append_call(request, instance, nonce="n", deadline_ms=1, archive_checked=False)
print(json.dumps({
    "append": script.APPEND.text,
    "durability": recorded._DURABILITY.text,
    "install": rehydrate._INSTALL.text,
    "join": snapshots._JOIN.text,
    "call": call,
}))
"""


class PreviousScripts(NamedTuple):
    """Its scripts of a room, and how it calls append.lua for a message that alice sends to `room`.

    The message has the client_msg_id `m` and the text `hi`; its origin is `origin`, its nonce `n`,
    its deadline 1.
    """

    append: LuaFunction
    durability: Script
    install: Script
    join: Script
    call: Any


@cache
def scripts() -> PreviousScripts:
    """Read them from its sources."""
    with tempfile.TemporaryDirectory() as folder:
        printed = subprocess.run(
            [sys.executable, "-c", _SCRIPTS],
            env=os.environ | environment(Path(folder)),
            check=True,
            capture_output=True,
        ).stdout
    texts = json.loads(printed)
    append = LuaFunction("append")
    append._set_text(texts["append"])
    durability, install, join = Script(), Script(), Script()
    durability._set_text(texts["durability"])
    install._set_text(texts["install"])
    join._set_text(texts["join"])
    return PreviousScripts(append, durability, install, join, texts["call"])
