"""Build the zips of the Lambda functions: build/chat-message-to-db.zip, build/chat-room-to-db.zip.

Pure Python for any processor; the same sources give the same bytes. Needs the installed lock, but
no Docker and no network. Prints path, size in bytes and sha256 of each.
"""

from __future__ import annotations

import sys
from hashlib import sha256

from rts_server.tools.dev import zips
from rts_server.tools.dev.stack_error import StackError

BUILD_FOLDER = zips.ROOT / "build"


def main() -> int:
    """Return the exit status: 0, or 1 if a source is missing."""
    try:
        packed = zips.build()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    BUILD_FOLDER.mkdir(exist_ok=True)
    for name, data in packed.items():
        path = BUILD_FOLDER / f"{name}.zip"
        path.write_bytes(data)
        print(path.relative_to(zips.ROOT), len(data), sha256(data).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
