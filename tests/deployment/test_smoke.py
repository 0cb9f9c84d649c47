"""The smoke test of a deployment, on a real instance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.eb.bundle import ROOT
from scripts.eb.calls import DeploymentFailed
from scripts.eb.smoke import run_smoke_test
from tests.helpers import tls
from tests.helpers.world import World, free_port, name

SMOKE = "import sys; from scripts.eb.smoke import run_smoke_test; run_smoke_test(*sys.argv[1:])"


def test_the_smoke_test_passes_on_an_instance_and_names_failures(world: World) -> None:
    """A message is sent and received on a real instance; a bad token or address is an error."""
    run_smoke_test(world.urls[0], world.token(name("smoke")))
    with pytest.raises(DeploymentFailed, match="does not serve"):
        run_smoke_test(world.urls[0], "nonsense")
    with pytest.raises(DeploymentFailed, match="does not serve"):
        run_smoke_test(f"http://127.0.0.1:{free_port()}", "any")


@pytest.mark.parametrize(("host", "served"), [("127.0.0.1", True), ("chat.example.com", False)])
def test_the_clone_is_tested_with_the_certificate_of_the_live_address(
    world: World, tmp_path: Path, host: str, served: bool
) -> None:
    """Through the clone's own CNAME, the certificate is verified against the live name."""
    with tls.running_before(tmp_path, int(world.urls[0].rpartition(":")[2])) as port:
        url = f"https://localhost:{port}"
        words = [sys.executable, "-c", SMOKE, url, world.token(name("smoke")), host]
        # aiohttp reads the authorities when it is loaded.
        trusting = os.environ | {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}
        done = subprocess.run(words, cwd=ROOT, env=trusting, capture_output=True, check=False)
    assert (done.returncode == 0) is served, done.stderr
