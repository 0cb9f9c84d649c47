"""A stand-in for `npm` in the documentation: what is installed and run must exist."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class WrongCall(Exception):
    """What npm would refuse; one sentence."""


def check(words: list[str], folder: Path) -> None:
    """Check a command line of npm in a folder. Raises WrongCall."""
    match words:
        case ["ci"]:
            _manifest(folder)
            if not (folder / "package-lock.json").exists():
                raise WrongCall(f"{folder.name} has no package-lock.json")
        case ["install", *names]:
            _check_installable(names)
        case ["run", script, "--workspace", workspace]:
            if workspace not in _manifest(folder)["workspaces"]:
                raise WrongCall(f"{folder.name} has no workspace {workspace}")
            if script not in _manifest(folder / workspace)["scripts"]:
                raise WrongCall(f"{workspace} has no script {script}")
        case _:
            raise WrongCall(f"not known here: npm {' '.join(words)}")


def _check_installable(names: list[str]) -> None:
    """Only our package is installed, and what it says that it needs."""
    client = _manifest(ROOT / "client")
    known = {client["name"], *client["peerDependencies"]}
    if unknown := [name for name in names if name not in known]:
        raise WrongCall(f"{client['name']} does not need {unknown[0]}")
    required = {
        name
        for name in client["peerDependencies"]
        if not client.get("peerDependenciesMeta", {}).get(name, {}).get("optional")
    }
    if client["name"] in names and not required <= {*names}:
        raise WrongCall(f"{client['name']} needs {sorted(required)}")


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "package.json"
    if not path.exists():
        raise WrongCall(f"{folder.name} has no package.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    try:
        check(sys.argv[1:], Path.cwd())
    except WrongCall as wrong:
        sys.exit(f"npm: {wrong}")
