"""The documentation: its paths exist, its numbers are defined, its lines are short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GENERATED = {"protocol.md"}
PAGES = sorted(
    {ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"}
    | {page for page in (ROOT / "docs").rglob("*.md") if page.name not in GENERATED}
)
FOLDERS = ("rts_server", "lambdas", "scripts", "tests", "docs", "infra", "web", "client", "bench")
NUMBER = re.compile(r"\b([DQEART]\d{1,2})\b(?![-.\w%])")
DEFINED = set(
    re.findall(r"^- \*\*([DQEART]\d+)\b", (ROOT / "docs/guarantees.md").read_text(), re.MULTILINE)
)
MARKDOWN_WIDTH = 110


def name_of(page: Path) -> str:
    """The path of a page from the root."""
    return str(page.relative_to(ROOT))


def sources() -> list[Path]:
    """The Python and Lua files that are ours."""
    files = [
        file
        for folder in ("rts_server", "lambdas", "scripts", "tests", "bench")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".lua"} and "node_modules" not in file.parts
    ]
    return [file for file in files if file != Path(__file__)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_in_backticks_exists(page: Path) -> None:
    """A module that was renamed is renamed in the documentation too."""
    quoted = re.findall(r"`([\w./-]+)`", page.read_text())
    paths = [path for path in quoted if path.split("/")[0] in FOLDERS and "/" in path]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """Links between pages are read from the page's own folder."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_is_longer_than_110_columns(page: Path) -> None:
    """Tables, code and links, which cannot be wrapped, are excepted."""
    outside = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in outside.splitlines() if not re.match(r"\||\[\w+\]: ", line)]
    assert [line for line in lines if len(line) > MARKDOWN_WIDTH] == []


def test_every_cited_guarantee_is_defined() -> None:
    """A number in parentheses or after "guarantee" stands in docs/guarantees.md."""
    cited = {
        (number, name_of(file))
        for file in [*sources(), *PAGES]
        for group in re.findall(r"\(((?:[DQEART]\d{1,2}(?:, | and |–)?)+)\)", file.read_text())
        for number in NUMBER.findall(group)
    }
    assert len(DEFINED) > 40
    assert len(cited) > 10
    assert [one for one in sorted(cited) if one[0] not in DEFINED] == []


def test_nothing_is_cited_that_the_repository_does_not_hold() -> None:
    """No trap, issue or page of notes that only its author could find."""
    dangling = re.compile(r"\b(?:trap|issue) \d+|promises\.md|what must be seen")
    found = [
        f"{name_of(file)}: {match[0]}"
        for file in [*sources(), *PAGES]
        for match in dangling.finditer(file.read_text())
    ]
    assert found == []
