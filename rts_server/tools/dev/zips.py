"""The zips of the Lambdas: pure Python, so one zip serves every processor; no Docker, no network.

What they need is copied from the distributions installed here, which the lock pins by hash. boto3
comes with the runtime. The same sources give the same bytes: sorted names, one fixed time.
"""

from __future__ import annotations

import io
import zipfile
from hashlib import sha256
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    PackagePath,
    distribution,
)
from pathlib import Path

from rts_server.tools.dev.stack_error import StackError

ROOT = Path(__file__).resolve().parents[3]
FUNCTIONS = {
    "chat-message-to-db": "chat_message_to_db",
    "chat-room-to-db": "chat_room_to_db",
}
"""Function → its package in `lambdas/`."""
DISTRIBUTIONS = ("aws-lambda-powertools", "jmespath", "marshmallow", "typing-extensions")
OURS = ("rts_server/__init__.py", "rts_server/persistence/__init__.py")
RECORDS = "rts_server/persistence/records"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_COMPILED = {".so", ".pyd", ".dylib", ".dll"}


def build(root: Path = ROOT) -> dict[str, bytes]:
    """Function → bytes of its zip. Raises Trouble when a source is missing or compiled."""
    common = {name: data for each in DISTRIBUTIONS for name, data in _installed(each).items()}
    return {
        function: _packed(common | _sources(root, package))
        for function, package in FUNCTIONS.items()
    }


def fingerprint(packed: bytes) -> str:
    """What the function answers to `{"probe": true}` when this zip is what runs (sha256, hex)."""
    digest = sha256()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith(("lambdas/", "rts_server/")) and name.endswith(".py"):
                digest.update(name.encode() + b"\0" + archive.read(name))
    return digest.hexdigest()


def _sources(root: Path, package: str) -> dict[str, bytes]:
    """The handler's package, what all handlers share, and the records of the server."""
    paths = [
        *(root / "lambdas").glob("*.py"),
        *(root / "lambdas" / package).rglob("*.py"),
        *(root / name for name in OURS),
        *(root / RECORDS).glob("*.py"),
    ]
    try:
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise StackError(f"A source of the Lambdas is missing: {error.filename}") from None
    if f"lambdas/{package}/handler.py" not in found:
        raise StackError(f"A source of the Lambdas is missing: lambdas/{package}/handler.py")
    return found


def _installed(name: str) -> dict[str, bytes]:
    """The code of an installed distribution and its licences."""
    try:
        source = distribution(name)
    except PackageNotFoundError:
        raise StackError(f"{name} is not installed; run `make setup`.") from None
    return {
        path.as_posix(): Path(str(source.locate_file(path))).read_bytes()
        for path in _belonging(source)
    }


def _belonging(source: Distribution) -> list[PackagePath]:
    """Its files without byte code, scripts and the installer's notes."""
    kept = []
    for path in source.files or ():
        if path.suffix in _COMPILED:
            raise StackError(f"{path} is compiled; a Lambda's zip must be pure Python.")
        if ".." in path.parts or "__pycache__" in path.parts:
            continue
        about = path.parts[0].endswith(".dist-info")
        if not about or path.name == "METADATA" or "licenses" in path.parts:
            kept.append(path)
    return kept


def _packed(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return whole.getvalue()
