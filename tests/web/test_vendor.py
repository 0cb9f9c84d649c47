"""The socket.io-client of the page is the one that the tests drive."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.helpers.node import ensure_modules, node

VENDORED = Path(__file__).parents[2] / "web" / "vendor" / "socket.io.min.js"


def test_the_client_of_the_page_is_that_of_the_lock() -> None:
    """Byte for byte what `make vendor` writes, its parsers with it."""
    ran = subprocess.run([node(), "vendor.mjs"], cwd=ensure_modules(), capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stdout == VENDORED.read_bytes(), "make vendor"
