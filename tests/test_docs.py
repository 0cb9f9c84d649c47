"""The documentation: its paths and links exist, its numbers are defined, its lines are short."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GENERATED = {"protocol.md"}
PAGES = sorted(
    {ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"}
    | {page for page in (ROOT / "docs").rglob("*.md") if page.name not in GENERATED}
)
FOLDERS = (
    "rts_server",
    "lambdas",
    "scripts",
    "tests",
    "docs",
    "infra",
    "web",
    "client",
    "client-python",
    "examples",
    "bench",
)
HIDDEN = (".platform", ".ebextensions", ".ci")
TEXT = {
    ".py",
    ".lua",
    ".js",
    ".mjs",
    ".ts",
    ".css",
    ".html",
    ".md",
    ".yaml",
    ".config",
    ".conf",
    ".sh",
}
FOREIGN = {"node_modules", "vendor", "dist", "__pycache__", "RESULTS.md"}
MARKDOWN_WIDTH = 110
MAX_PAGE_LINES = 400

NUMBER = re.compile(r"(?<![\w%])([DQEART]\d{1,2})\b(?![-.]\w|:\d|%)")
"""A citation, in whatever form: `(D1, D2)`, `D1/D8`, `T1–T8`, `E1: …`. `T23:59` is none."""
DANGLING = re.compile(
    r"\b(?:trap|issue|promise|guarantee|rule)s? #?\d+|promises\.md|what must be seen", re.IGNORECASE
)
"""References that only their author could follow: the guarantees have letters and numbers."""
WIRING = {f"rts_server/{name}.py" for name in ("__main__", "processes", "app", "services")}
"""Files of the reading path that build everything, and so import everything."""
OUTSIDE = {"IMPORT"}
"""Names of the documentation that are no names of ours: a type of change set."""
SHELL = ("aws ", "make ", "python ", "rts-server ", "py-spy ", "modify-", "npm ")


def name_of(page: Path) -> str:
    """The path of a page from the root."""
    return str(page.relative_to(ROOT))


@cache
def text_of(file: Path) -> str:
    """The text of a file."""
    return file.read_text()


@cache
def sources() -> tuple[Path, ...]:
    """Every text file that people wrote, but for this one."""
    found = {
        file
        for folder in (*FOLDERS, *HIDDEN)
        for file in (ROOT / folder).rglob("*")
        if file.suffix in TEXT and FOREIGN.isdisjoint(file.parts)
    }
    found |= {ROOT / name for name in ("Makefile", "pyproject.toml", "README.md", "CHANGELOG.md")}
    found |= {ROOT / "CONTRIBUTING.md"}
    return tuple(sorted(found - {Path(__file__)}))


@cache
def defined() -> frozenset[str]:
    """The numbers of docs/guarantees.md."""
    page = text_of(ROOT / "docs" / "guarantees.md")
    return frozenset(re.findall(r"^- \*\*([DQEART]\d+)\b", page, re.MULTILINE))


@cache
def words_of_sources() -> frozenset[str]:
    """Every word of the sources, without the documentation."""
    code = "\n".join(text_of(file) for file in sources() if file.suffix != ".md")
    return frozenset(re.findall(r"\w+", code))


def without_code(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def imported_files(file: Path) -> set[str]:
    """The modules of ours that a Python file imports, as paths from the root; no packages."""
    found = set()
    for node in ast.walk(ast.parse(text_of(file))):
        if isinstance(node, ast.ImportFrom) and node.module:
            base = node.module.replace(".", "/")
            found |= {f"{base}.py", *(f"{base}/{alias.name}.py" for alias in node.names)}
    return {path for path in found if (ROOT / path).exists()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_in_backticks_exists(page: Path) -> None:
    """A module that was renamed is renamed in the documentation too."""
    quoted = re.findall(r"`([\w./-]+)`", text_of(page))
    paths = [path for path in quoted if path.split("/")[0] in (*FOLDERS, *HIDDEN) and "/" in path]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_reading_path_announces_every_file_its_files_import() -> None:
    """A newcomer who reads along meets no module that docs/design.md did not name."""
    path = text_of(ROOT / "docs" / "design.md")
    named = set(re.findall(r"`((?:rts_server|lambdas)/[\w./]+\.py)`", path))
    assert len(named) > 100
    unannounced = [
        f"{file} imports {module}"
        for file in sorted(named - WIRING)
        for module in sorted(imported_files(ROOT / file) - named)
    ]
    assert unannounced == []


def test_the_reading_path_names_every_script() -> None:
    """Most rules stand in the scripts, and no import leads a reader to them."""
    path = text_of(ROOT / "docs" / "design.md")
    scripts = sorted((ROOT / "rts_server").rglob("*.lua"))
    assert len(scripts) > 30
    assert [name_of(script) for script in scripts if f"`{name_of(script)}`" not in path] == []


def test_the_map_has_every_folder_of_the_server() -> None:
    """CONTRIBUTING.md says in one line what each is for."""
    page = text_of(ROOT / "CONTRIBUTING.md")
    folders = sorted(file.parent for file in (ROOT / "rts_server").glob("*/__init__.py"))
    assert len(folders) > 15
    assert [name_of(one) for one in folders if f"`{name_of(one)}" not in page] == []


def test_every_path_in_a_source_exists() -> None:
    """Docstrings and comments name files that are there."""
    path = re.compile(
        rf"(?<![\w/.$}}-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w\.(?:py|lua|md|yaml|json)\b"
    )
    missing = [
        f"{name_of(file)}: {match[0]}"
        for file in sources()
        for match in path.finditer(text_of(file))
        if not ((ROOT / match[0]).exists() or (ROOT / "tests" / match[0]).exists())
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_heading(page: Path) -> None:
    """The file of a link exists, from the page's own folder, and so does its anchor."""
    links = re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", without_code(page))
    wrong = []
    for link, anchor in links:
        target = page.parent / link if link else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append((link, anchor))
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_is_longer_than_110_columns(page: Path) -> None:
    """Tables, code and links, which cannot be wrapped, are excepted."""
    lines = [
        line for line in without_code(page).splitlines() if not re.match(r"\||\[\w+\]: ", line)
    ]
    assert [line for line in lines if len(line) > MARKDOWN_WIDTH] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_is_longer_than_400_lines(page: Path) -> None:
    """A longer page is split by noun, as a module is."""
    assert text_of(page).count("\n") <= MAX_PAGE_LINES


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("in order (D1, D2 and D10).", ["D1", "D2", "D10"]),
        ('Violation("D1/D8", room)', ["D1", "D8"]),
        ("The traps T1–T8 of the log", ["T1", "T8"]),
        ("E1: offline within 35 s; promise A2.", ["E1", "A2"]),
        ("at T23:59:59, %C3%A4, R5-x, D3.js and MD5", []),
    ],
)
def test_citations_are_found_in_every_form(text: str, cited: list[str]) -> None:
    """In parentheses, before a colon, in a pair, a range or a sentence."""
    assert NUMBER.findall(text) == cited


def test_every_cited_guarantee_is_defined() -> None:
    """Whoever meets a number finds it in docs/guarantees.md."""
    assert len(defined()) > 40
    undefined = [
        f"{name_of(file)}: {number}"
        for file in sources()
        for number in NUMBER.findall(text_of(file))
        if number not in defined()
    ]
    assert undefined == []


def test_every_guarantee_is_cited_by_a_test() -> None:
    """A guarantee without a test says so."""
    cited = {
        number
        for file in sources()
        if file.is_relative_to(ROOT / "tests") or file.is_relative_to(ROOT / "bench")
        for number in NUMBER.findall(text_of(file))
    }
    assert sorted(defined() - cited) == []


def test_nothing_is_cited_that_the_repository_does_not_hold() -> None:
    """No trap, issue or page of notes that only its author could find."""
    found = [
        f"{name_of(file)}: {match[0]}"
        for file in sources()
        for match in DANGLING.finditer(text_of(file))
    ]
    assert found == []


def test_every_setting_and_metric_in_the_documentation_exists() -> None:
    """Settings, Prometheus metrics and quoted log lines are those of the sources."""
    code = "\n".join(text_of(file) for file in sources() if file.suffix != ".md")
    quoted = {
        word
        for page in PAGES
        for word in re.findall(
            r"`(RTS_[A-Z0-9_]+|rts_[a-z_]+(?:seconds|total|entries))\b", text_of(page)
        )
    }
    assert len(quoted) > 30
    assert sorted(word for word in quoted if word not in code) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_name_in_backticks_exists(page: Path) -> None:
    """Classes, functions, fields and settings that the documentation names are in the sources."""
    names = re.findall(r"`([A-Za-z_][\w.]*(?:\(\))?)`", without_code(page))
    words = {word for name in names for word in re.split(r"\W+", name) if word}
    assert sorted(words - words_of_sources() - OUTSIDE) == []


def test_every_quoted_refusal_exists() -> None:
    """The tutorial shows refusals as the server words them."""
    quoted = re.findall(r"^! \S+: (\w+): (.+)$", text_of(ROOT / "docs" / "rooms.md"), re.MULTILINE)
    code = text_of(ROOT / "rts_server" / "errors.py")
    assert quoted
    assert [one for one in quoted if f'"""{one[1]}"""' not in code or one[0] not in code] == []


def test_every_quoted_log_line_exists() -> None:
    """Whoever searches the logs for a line of the runbook finds it."""
    code = "\n".join(text_of(file) for file in sources() if file.suffix == ".py")
    runbook = text_of(ROOT / "docs" / "operations.md").partition("## Runbook")[2]
    spans = re.findall(r"`([a-z]+(?:[ \n][a-z:]+)+)`", runbook)
    lines = [" ".join(span.split()) for span in spans if not span.startswith(SHELL)]
    assert len(lines) > 8
    assert [line for line in lines if f'"{line}' not in code] == []
