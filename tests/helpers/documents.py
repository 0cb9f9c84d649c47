"""Fenced blocks and commands of the documentation, and a shell in which blocks run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("[!.]*/*.md"), *(ROOT / "docs").rglob("*.md")}
    - {ROOT / "CHANGELOG.md", *ROOT.glob("build/*.md")}
)
"""The pages of the repository, with those beside the code of a package.

The changelog is none: it also names what was.
"""
SHELLS = ("sh", "console")
"""Languages of blocks that run: `console` has commands behind `$`, and what they print."""
NEEDS = {
    "run": "a checkout",
    "stack": "a running server, RTS_URL and RTS_TOKEN",
    "aws": "an account at AWS",
    "instance": "a shell on an instance of Elastic Beanstalk",
}
"""What a block needs, the second word behind its fence."""
NOT_COPIED = {".git", ".rts", "build"}
MARK = "\x1e"
"""Written before the output of each command: a record separator, which nothing else prints."""
STAND_INS = {
    # Long commands, and those that would reach AWS, are checked instead of executed.
    "make": 'case "$*" in help) exec {make} "$@";; *) exec {make} --dry-run "$@" >/dev/null;; esac',
    "aws": 'exec {python} -m tests.helpers.aws_cli "$@"',
    "npm": 'exec {python} -m tests.helpers.npm_cli "$@"',
    **{
        program: f'exec {{python}} -m tests.helpers.network_cli {program} "$@"'
        for program in ("curl", "dig", "openssl")
    },
}
DRY_DEPLOY = 'exec {root}/scripts/deploy "$@" --dry-run >/dev/null'


@dataclass(frozen=True)
class Block:
    """A fenced block. `language` and `needs` are the words behind its fence, or empty."""

    page: Path
    line: int
    language: str
    needs: str
    text: str

    @property
    def place(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def at(self, shown: str, real: str) -> Block:
        """Return this block with another word in place of one that the page shows."""
        return replace(self, text=self.text.replace(shown, real))

    def commands(self) -> list[tuple[str, str | None]]:
        """Return (command, what it prints, or None if the page does not say) of each."""
        if self.language == "sh":
            return [(self.text, None)]
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]
        pairs = (part.partition("\n") for part in parts)
        return [(command, printed) for command, _, printed in pairs]


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text()
    found = re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    blocks = []
    for match in found:
        language, _, needs = match[1].partition(" ")
        line = text.count("\n", 0, match.start()) + 1
        blocks.append(Block(page, line, language, needs, match[2]))
    return blocks


def commands_in_text(page: Path) -> list[str]:
    """Return the commands between backticks, outside of blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))
    programs = r"(rts-server|aws|make|scripts/[\w.]+|(\.venv/bin/)?python3? -m) "
    return [span for span in spans if re.match(programs, span)]


class Shell:
    """A folder that looks like a checkout in which `make setup` ran, and what stands in."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder / "checkout"
        self.folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in NOT_COPIED | {"scripts"}:
                (self.folder / entry.name).symlink_to(entry)
        scripts = self.folder / "scripts"
        scripts.mkdir()
        for entry in (ROOT / "scripts").iterdir():
            if entry.name != "deploy":
                (scripts / entry.name).symlink_to(entry)
        self._write(scripts / "deploy", DRY_DEPLOY)
        stand_ins = folder / "stand-ins"
        stand_ins.mkdir()
        for name, line in STAND_INS.items():
            self._write(stand_ins / name, line)
        path = os.pathsep.join(
            [str(stand_ins), str(Path(sys.executable).parent), os.environ["PATH"]]
        )
        self._environment = {
            **{n: v for n, v in os.environ.items() if not n.startswith(("RTS_", "AWS_"))},
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            **environment,
        }

    def run_blocks(self, blocks: Iterable[Block]) -> list[str]:
        """Run blocks one after another, as one would type them; return what is not as written."""
        commands = [(block, *command) for block in blocks for command in block.commands()]
        script = "".join(
            f"printf '{MARK}{number}\\n'\n{command}\n"
            for number, (_, command, _) in enumerate(commands)
        )
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = dict(part.split("\n", 1) for part in done.stdout.split(MARK)[1:])
        if done.returncode:
            last = commands[len(printed) - 1][0].place if printed else "the first block"
            shown = (done.stdout + done.stderr).strip()[-1000:]
            return [f"{last}: exit code {done.returncode}: {shown}"]
        return [
            f"{block.place}: `{command}` prints\n{printed[str(number)]}"
            for number, (block, command, expected) in enumerate(commands)
            if expected is not None and not is_as_written(expected, printed[str(number)])
        ]

    def _write(self, program: Path, line: str) -> None:
        make = subprocess.run(["which", "make"], check=True, capture_output=True, text=True).stdout
        names = {"make": make.strip(), "python": sys.executable, "root": str(ROOT)}
        filled = line.format(**{name: shlex.quote(value) for name, value in names.items()})
        program.write_text(f"#!/bin/sh\n{filled}\n")
        program.chmod(0o755)


def is_as_written(expected: str, printed: str) -> bool:
    """Return whether an output is as a page shows it, where `…` stands for anything.

    That a change is not stored yet, which a busy machine may say of any, is left out.
    """
    pattern = re.escape(expected.strip()).replace("…", ".*")
    stored = re.sub(r", \d+ not stored yet", "", printed.strip())
    return re.fullmatch(pattern, stored, re.DOTALL) is not None
