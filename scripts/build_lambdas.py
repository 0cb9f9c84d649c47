"""Write build/chat-message-to-db.zip and build/chat-room-to-db.zip, to be uploaded to AWS.

Pure Python for any processor, the same bytes from the same sources. Needs an installed lock, no
Docker and no network. Prints name, size in bytes and sha256.
"""

from __future__ import annotations

import sys
from hashlib import sha256

from rts_server.tools.dev import zips
from rts_server.tools.dev.stack_error import StackError

TARGET = zips.ROOT / "build"


def main() -> int:
    """Exit status: 0, or 1 when a source is missing."""
    try:
        packed = zips.build()
    except StackError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    TARGET.mkdir(exist_ok=True)
    for name, data in packed.items():
        path = TARGET / f"{name}.zip"
        path.write_bytes(data)
        print(path.relative_to(zips.ROOT), len(data), sha256(data).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
