"""`python -m scripts.wire [--check]`: write the documents, or fail if one is stale."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.wire import asyncapi, markdown, python, python_client, rest, typescript
from scripts.wire.schemas import schemas

ROOT = Path(__file__).resolve().parents[2]
TYPES = Path("rts_server") / "types"
PYTHON_CLIENT = Path("client-python") / "rts_chat"


def files() -> dict[Path, str]:
    """Return the text of each document by path."""
    known = schemas()
    return {
        ROOT / "docs" / "protocol.md": markdown.text(known),
        ROOT / "docs" / "asyncapi.json": asyncapi.text(known),
        ROOT / "client" / "types.d.ts": typescript.text(known),
        ROOT / "client" / "src" / "routes.ts": rest.text(),
        **{ROOT / TYPES / f"{name}.py": text for name, text in python.modules().items()},
        **{
            ROOT / PYTHON_CLIENT / f"{name}.py": text
            for name, text in python_client.modules().items()
        },
    }


def main(arguments: list[str]) -> int:
    """Return the exit status: 0, or 1 if a document is stale."""
    stale = {path: text for path, text in files().items() if not _holds(path, text)}
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run python -m scripts.wire", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
