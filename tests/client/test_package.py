"""The packed package in a project of its own, with the samples of the documentation."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.helpers.chat_package import CLIENT
from tests.helpers.node import ensure_modules, node, npm
from tests.helpers.waiting import PATIENCE
from tests.helpers.world import World, name

ROOT = CLIENT.parent
PEERS = ("socket.io-client", "@angular", "react", "@types", "rxjs", "undici-types")
GIVEN = """
import type { RoomSummary, ShownMessage } from "rts-chat";
import type { LogEvent } from "rts-chat/types";
import { bootstrapApplication } from "@angular/platform-browser";
import { inject, input } from "@angular/core";
declare const App: never, url: string, getToken: () => Promise<string>;
declare function show(event: LogEvent): void;
declare function showList(rooms: readonly RoomSummary[]): void;
declare function showBadge(total: number): void;
declare function showPresence(state: "online" | "away" | "offline" | undefined): void;
declare function showRoom(messages: readonly ShownMessage[], typing: readonly string[]): void;
"""
"""What the samples take from the application around them."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty project that has installed what `npm pack` packs."""
    folder = tmp_path_factory.mktemp("project")
    ensure_modules(CLIENT)
    source = folder / "source"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (source / "node_modules").symlink_to(CLIENT / "node_modules")
    tsc = source / "node_modules" / "typescript" / "bin" / "tsc"
    run(source, node(), str(tsc), "-p", "tsconfig.build.json")
    run(source, *npm(), "pack", "--silent")
    (packed,) = source.glob("*.tgz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder / "node_modules", filter="data")
    (folder / "node_modules" / "package").rename(folder / "node_modules" / "rts-chat")
    for peer in PEERS:
        (folder / "node_modules" / peer).symlink_to(CLIENT / "node_modules" / peer)
    (folder / "package.json").write_text('{ "type": "module" }')
    return folder


def run(folder: Path, *command: str) -> str:
    """The output of a program; it must succeed."""
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def samples(page: str, language: str) -> list[str]:
    """The blocks of code of a page."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_samples_compile(project: Path) -> None:
    """Every sample of the documentation is right by the types that the package ships."""
    pages = ("README.md", "client/README.md", "docs/client.md", "docs/bare-client.md")
    given = [sample for page in pages for sample in samples(page, "ts")]
    assert len(given) == 6
    for number, sample in enumerate(given):
        (project / f"sample{number}.ts").write_text(f"{GIVEN}{sample}export {{}};\n")
    (jsx,) = samples("docs/client.md", "tsx")
    (project / "sample.tsx").write_text(
        jsx.replace("<ChatProvider client={chat}>…</ChatProvider>;", "")
    )
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"]
    options += ["--jsx", "react-jsx", "--skipLibCheck", "--types", "react,node"]
    files = [str(file) for file in (*project.glob("sample*.ts"), *project.glob("sample*.tsx"))]
    tsc = CLIENT / "node_modules" / "typescript" / "bin" / "tsc"
    run(project, node(), str(tsc), *options, *files)


async def test_the_sample_of_the_readme_runs(project: Path, world: World) -> None:
    """In plain Node it signs in, opens a room, and its message becomes durable."""
    (sample,) = samples("README.md", "ts")
    url = world.urls[0]
    sample = sample.replace("http://127.0.0.1:8000", url)
    sample = sample.replace("alice", name("alice")).replace('"bob"', f'"{name("bob")}"')
    sample = sample.replace("webStorage()", "memoryStorage()").replace(
        "webStorage", "memoryStorage"
    )
    (project / "sample.mjs").write_text(sample)
    process = await asyncio.create_subprocess_exec(
        node(), "sample.mjs", cwd=project, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            async for line in process.stdout:
                if b"'hello', 'queued'" in line:
                    break
            else:
                raise AssertionError("it ended before the message was durable")
    finally:
        process.kill()
        await process.wait()
