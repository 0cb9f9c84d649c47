"""The packages for clients: `python -m scripts.client` builds and packs `client/` and
`client-python/`, and writes the bundle for the page; `--check` lints `client/` and the page, checks
their types and fails when the bundle is stale; `--install` installs what these and the starters of
`examples/` need.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.helpers.node import ensure_modules, node, npm

ROOT = Path(__file__).parents[1]
CLIENT_FOLDER = ROOT / "client"
EXAMPLES_FOLDER = ROOT / "examples"
PYTHON_CLIENT_FOLDER = ROOT / "client-python"
WHEEL = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
BUNDLE = ROOT / "web" / "vendor" / "rts-chat.min.js"


def main(arguments: list[str]) -> int:
    """Exit status: 0, or that of what failed first."""
    ensure_modules(CLIENT_FOLDER)
    if "--install" in arguments:
        ensure_modules(EXAMPLES_FOLDER)
        return 0
    if "--check" in arguments:
        return (
            _tool("eslint", ".")
            or _tool("tsc", "-p", "tsconfig.json")
            or _tool("eslint", "--config", "client/eslint.page.config.js", "web", folder=ROOT)
            or _tool("tsc", "-p", "tsconfig.page.json")
            or _stale()
        )
    built = _tool("tsc", "-p", "tsconfig.build.json") or _exit_code(*npm(), "pack", "--silent")
    BUNDLE.write_bytes(_bundle())
    return built or _exit_code(*WHEEL, "--wheel-dir", "dist", ".", folder=PYTHON_CLIENT_FOLDER)


def _stale() -> int:
    if BUNDLE.exists() and BUNDLE.read_bytes() == _bundle():
        return 0
    print(f"{BUNDLE.relative_to(ROOT)} is stale: run make client", file=sys.stderr)
    return 1


def _bundle() -> bytes:
    made = subprocess.run(
        [node(), "bundle.mjs"], cwd=CLIENT_FOLDER, check=True, capture_output=True
    )
    return made.stdout


def _tool(name: str, *arguments: str, folder: Path = CLIENT_FOLDER) -> int:
    """A program of the package's own lock."""
    package = {"eslint": "eslint/bin/eslint.js", "tsc": "typescript/bin/tsc"}[name]
    program = str(CLIENT_FOLDER / "node_modules" / package)
    return _exit_code(node(), program, *arguments, folder=folder)


def _exit_code(*command: str, folder: Path = CLIENT_FOLDER) -> int:
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
