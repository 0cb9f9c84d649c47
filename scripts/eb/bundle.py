"""The source bundle for Elastic Beanstalk: sources, pinned requirements, platform files."""

from __future__ import annotations

import io
import os
import re
import tomllib
import zipfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from rts_server.tools.dev.zips import FIXED_TIME

ROOT = Path(__file__).parents[2]
INCLUDED_PATTERNS = ("Procfile", ".platform/**/*", ".ebextensions/*.config", "rts_server/**/*.py")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--extra",
    multiple=True,
    help="An extra of pyproject.toml; may be repeated.",
)
def main(out: Path, extra: tuple[str, ...]) -> None:
    """Write the source bundle to OUT, and print its path, size and sha256.

    The same sources give the same bytes. Needs no network and no AWS.

    Example: scripts/bundle build/rts-server.zip
    """
    data = build_bundle(ROOT, extra)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(data)
    click.echo(f"{out} {len(data)} {sha256(data).hexdigest()}")


def build_bundle(root: Path, extras: Iterable[str] = ()) -> bytes:
    """Return the bytes of the zip."""
    files = {
        path.relative_to(root).as_posix(): path
        for pattern in (*INCLUDED_PATTERNS, *package_data_patterns(root))
        for path in root.glob(pattern)
        if path.is_file()
    }
    pinned = requirements((root / "requirements.lock").read_text(), required_names(root, extras))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted([*files, "requirements.txt"]):
            path = files.get(name)
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if path and os.access(path, os.X_OK) else 0o644) << 16
            archive.writestr(entry, path.read_bytes() if path else pinned)
    return buffer.getvalue()


def package_data_patterns(root: Path) -> list[str]:
    """Return the patterns of package data in pyproject.toml, such as Lua scripts."""
    data = _pyproject(root)["tool"]["setuptools"]["package-data"]["rts_server"]
    return [f"rts_server/{pattern}" for pattern in data]


def required_names(root: Path, extras: Iterable[str]) -> set[str]:
    """Return the names of the project's own requirements, without those of dev and test."""
    project = _pyproject(root)["project"]
    required = [*project["dependencies"]]
    for extra in extras:
        if extra not in project["optional-dependencies"]:
            raise click.BadParameter(f"pyproject.toml has no extra {extra}.")
        required += project["optional-dependencies"][extra]
    return {_name(one) for one in required}


def requirements(lock: str, names: set[str]) -> str:
    """Return the blocks of these packages and their dependencies, with hashes and markers.

    The lock names the dependents of each package in comments (`# via`).
    """
    blocks = {_name(block): block for block in re.split(r"\n(?=\S)", lock.strip())}
    dependents = {name: _via(block) for name, block in blocks.items()}
    kept = set(names)
    while more := {name for name, via in dependents.items() if via & kept} - kept:
        kept |= more
    missing = names - blocks.keys()
    if missing:
        raise click.ClickException(f"The lock lacks {', '.join(sorted(missing))}: run `make lock`.")
    return "\n".join(blocks[name] for name in sorted(kept)) + "\n"


def _pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


def _name(text: str) -> str:
    """Return the normalised name at the start of a requirement (PEP 503)."""
    match = re.match(r"[A-Za-z0-9._-]+", text)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def _via(block: str) -> set[str]:
    comments = re.findall(r"^\s+#\s+(?:via\s+)?(\S+)$", block, re.MULTILINE)
    return {_name(one) for one in comments if one != "via"}


if __name__ == "__main__":
    main(prog_name="scripts/bundle")
