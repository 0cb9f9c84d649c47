"""What the platform runs as root on an instance."""

from __future__ import annotations

import os
import subprocess
from configparser import ConfigParser
from pathlib import Path

from rts_server.app import END_WITHIN
from tests.deployment.platform import OURS

HOOK = OURS.parent / "hooks" / "prebuild" / "10_limits.sh"


def test_processes_get_files_and_time(tmp_path: Path) -> None:
    """A drop-in for each process: more files than nginx hands on, more time than a drain takes."""
    assert os.access(HOOK, os.X_OK)
    for _ in range(2):
        subprocess.run([HOOK], env=os.environ | {"RTS_UNITS": str(tmp_path)}, check=True)
    for process in ("web", "relay"):
        unit = ConfigParser()
        unit.read(tmp_path / f"{process}.service.d" / "rts.conf")
        assert int(unit["Service"]["LimitNOFILE"]) >= 65536
        assert int(unit["Service"]["TimeoutStopSec"]) > END_WITHIN
