"""The structure of the code and of its tests, as conventions that a test can hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mirrors import COVERS

ROOT = Path(__file__).parents[1]
TEST_FILES = sorted((ROOT / "tests").rglob("test_*.py"))


def imported_modules(file: Path) -> set[str]:
    """Every module and name that a file imports from, with dots."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def mirror_of(module: str) -> str:
    """The file name of the test that mirrors a module."""
    return f"test_{module.rpartition('/')[2]}.py"


def test_no_file_imports_a_test_module_or_a_conftest() -> None:
    """Shared helpers are in tests/helpers or in a module beside the tests."""
    of_tests = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in TEST_FILES}
    files = [file for name in ("tests", "bench", "scripts") for file in (ROOT / name).rglob("*.py")]
    guilty = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        if "node_modules" not in file.parts
        for module in imported_modules(file)
        if module in of_tests or module.split(".")[-1] == "conftest"
    ]
    assert guilty == []


@pytest.mark.parametrize("folder", ["tests/helpers"])
def test_helpers_hold_no_tests(folder: str) -> None:
    """A test among the helpers would not be found by its module's name."""
    assert list((ROOT / folder).rglob("test_*.py")) == []


def test_every_module_is_mirrored_by_a_test_or_listed_with_its_cover() -> None:
    """`a/b.py` is tested by `test_b.py` in `tests/a`, or `tests/mirrors.py` says where and why."""
    package = ROOT / "rts_server"
    files = [file for file in package.rglob("*.py") if not file.name.startswith("__")]
    modules = {str(file.relative_to(package).with_suffix("")) for file in files}
    mirrored = {m for m in modules if (ROOT / "tests" / m).with_name(mirror_of(m)).exists()}
    listed = [module for cover in COVERS for module in cover.modules.split()]
    assert modules - mirrored - set(listed) == set(), "neither mirrored nor listed"
    assert set(listed) - modules == set(), "listed, but no module"
    assert len(listed) == len(set(listed)), "listed twice"
    assert [cover.test for cover in COVERS if not (ROOT / "tests" / cover.test).exists()] == []
