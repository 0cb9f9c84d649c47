"""The processes of the release before this one, from the history of the repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREVIOUS_RELEASE = "3dac89558a7af1af27bcf74493b6a79f5a462485"
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
