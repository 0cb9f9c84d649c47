"""The zips of the Lambda functions: pure Python for any processor, without Docker or network.

Dependencies are copied from the distributions installed here, which the lock pins by hash; boto3
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
FUNCTION_MODULES = {
    "chat-message-to-db": "chat_message_to_db",
    "chat-room-to-db": "chat_room_to_db",
}
"""Package in `lambdas/` by the name of the function."""
KEY_PARAMETERS = {"chat-message-to-db": "MessageCodeKey", "chat-room-to-db": "RoomCodeKey"}
"""Parameter of the template for the key of each zip."""
DISTRIBUTIONS = ("marshmallow",)
SHARED_SOURCES = ("rts_server/__init__.py", "rts_server/persistence/__init__.py")
RECORDS = "rts_server/persistence/records"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_COMPILED_SUFFIXES = {".so", ".pyd", ".dylib", ".dll"}


def build(root: Path = ROOT) -> dict[str, bytes]:
    """Return the zip of each function. Raises StackError if a source is missing or compiled."""
    common = {
        name: data for each in DISTRIBUTIONS for name, data in _distribution_files(each).items()
    }
    return {
        function: _zip_bytes(common | _sources(root, package))
        for function, package in FUNCTION_MODULES.items()
    }


def code_key(function: str, packed: bytes) -> str:
    """Return the key of a zip in S3. It contains the hash: CloudFormation sees only new keys."""
    return f"{function}-{sha256(packed).hexdigest()[:32]}.zip"


def fingerprint(packed: bytes) -> str:
    """Return the hash (sha256, hex) that a function with this zip answers to `{"probe": true}`."""
    digest = sha256()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith(("lambdas/", "rts_server/")) and name.endswith(".py"):
                digest.update(name.encode() + b"\0" + archive.read(name))
    return digest.hexdigest()


def _sources(root: Path, package: str) -> dict[str, bytes]:
    """Return the handler's package, the modules all handlers share, and the server's records."""
    paths = [
        *(root / "lambdas").glob("*.py"),
        *(root / "lambdas" / package).rglob("*.py"),
        *(root / name for name in SHARED_SOURCES),
        *(root / RECORDS).glob("*.py"),
    ]
    try:
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise StackError(f"A source of the Lambda functions is missing: {error.filename}") from None
    if f"lambdas/{package}/handler.py" not in found:
        raise StackError(
            f"A source of the Lambda functions is missing: lambdas/{package}/handler.py"
        )
    return found


def _distribution_files(name: str) -> dict[str, bytes]:
    """Return the code of an installed distribution and its licences."""
    try:
        source = distribution(name)
    except PackageNotFoundError:
        raise StackError(f"{name} is not installed; run `make setup`.") from None
    return {
        path.as_posix(): Path(str(source.locate_file(path))).read_bytes()
        for path in _packaged_paths(source)
    }


def _packaged_paths(source: Distribution) -> list[PackagePath]:
    """Return its files without byte code, scripts and the installer's metadata."""
    packaged = []
    for path in source.files or ():
        if path.suffix in _COMPILED_SUFFIXES:
            raise StackError(f"{path} is compiled; a function's zip must be pure Python.")
        if ".." in path.parts or "__pycache__" in path.parts:
            continue
        is_metadata = path.parts[0].endswith(".dist-info")
        if not is_metadata or path.name == "METADATA" or "licenses" in path.parts:
            packaged.append(path)
    return packaged


def _zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()
