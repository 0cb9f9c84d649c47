"""The state of the demo page, by Node's own test runner."""

from __future__ import annotations

import subprocess

from tests.helpers.node import JS, node
from tests.helpers.waiting import PATIENCE


def test_rules_for_a_client() -> None:
    """The page's state follows the protocol's rules for a client."""
    command = [node(), "--test", "state.test.mjs", "sends.test.mjs"]
    run = subprocess.run(
        command, cwd=JS, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# pass 0" not in run.stdout
