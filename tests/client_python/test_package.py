"""The package on its own: what its wheel has, and what importing it loads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.waiting import PATIENCE

PACKAGE = Path(__file__).parents[2] / "client-python"
LOADED = """
import sys
import rts_chat
print(rts_chat.__file__)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""

PROGRAM = """from rts_chat import RestClient
rest = RestClient("u", "t")
text: str = rest.message_page("r")["messages"][0]["text"]
rest.message_send("r", txt="oops")
rest.room_get("r")["rooom"]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the package and nothing else of this repository."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / PACKAGE.name
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(source)], check=True, timeout=PATIENCE)
    return folder


def test_it_loads_nothing_of_the_server(installed: Path) -> None:
    """A back end that imports it gets neither the server nor what the server needs."""
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(installed)!r}]\n{LOADED}"]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    place, loaded = ran.stdout.splitlines()
    assert Path(place).parent.parent == installed
    unwanted = {"rts_server", "lambdas", "socketio", "aiohttp", "redis", "boto3", "marshmallow"}
    assert unwanted & set(loaded.split()) == set()


def test_it_ships_its_types(installed: Path) -> None:
    """A program that uses it is checked by mypy, and what it does wrong is found."""
    assert (installed / "rts_chat" / "py.typed").exists()
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "-c", PROGRAM]
    more = ["--cache-dir", str(installed / "cache"), "--config-file", "/dev/null"]
    ran = subprocess.run(
        [*command, *more], cwd=installed, capture_output=True, text=True, check=False
    )
    found = re.findall(r"<string>:(\d+): error: .*\[([\w-]+)\]", ran.stdout)
    assert found == [("4", "call-arg"), ("5", "typeddict-item")], ran.stdout
