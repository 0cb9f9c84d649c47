"""The parts of the package that need no server, by Node's own test runner."""

from __future__ import annotations

import subprocess

from tests.helpers.chat_package import CLIENT
from tests.helpers.node import ensure_modules, node
from tests.helpers.waiting import PATIENCE


def test_units() -> None:
    """Replica, outbox, observables: rules of the protocol, and a property test of the fold."""
    command = [node(), "--test", "test/*.test.ts"]
    run = subprocess.run(
        command,
        cwd=ensure_modules(CLIENT),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "ℹ pass 0" not in run.stdout
