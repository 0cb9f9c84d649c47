"""Build the zips of the Lambda functions into build/, to be uploaded to AWS.

Their names are their keys and contain the hash, because CloudFormation deploys new code only from a
new key. Prints the template's parameters with these keys, for --parameter-overrides. Pure Python
for any processor, the same bytes from the same sources. Needs an installed lock, no Docker and no
network.

Example: python -m scripts.build_lambdas > build/keys
"""

from __future__ import annotations

import sys

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
        key = zips.code_key(name, data)
        (BUILD_FOLDER / key).write_bytes(data)
        print(f"{zips.KEY_PARAMETERS[name]}={key}")
        print(f"build/{key}: {len(data)} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
