"""Objects get their collaborators by their constructors: nothing is assigned to them afterwards."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rts_server

ROOT = Path(rts_server.__file__).parent
WIRING = ["app.py", "services.py", "processes.py", "drain.py"]
WIRED = [
    str(path.relative_to(ROOT))
    for folder in ("namespaces", "presence")
    for path in sorted((ROOT / folder).glob("*.py"))
]
STATE = {
    "namespaces/base.py": {"session"},
    "namespaces/command_deadline.py": {"session"},
    "namespaces/command_queue.py": {"session"},
    "namespaces/connections.py": {"connection"},
    "namespaces/dispatcher.py": {"session"},
    "namespaces/durable_acks.py": {"command"},
    "presence/watches.py": {"watch"},
}
"""Names of plain records a module owns the fields of; all others are objects of other modules."""


def foreign_assignments(source: str) -> set[tuple[int, str]]:
    """Return line and target of each assignment to an attribute of anything but `self`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        for target in targets:
            for one in ast.walk(target):
                if not isinstance(one, ast.Attribute) or not isinstance(one.ctx, ast.Store):
                    continue
                base = ast.unparse(one.value)
                if base not in ("self", "cls"):
                    found.add((one.lineno, base))
    return found


@pytest.mark.parametrize("module", WIRING + WIRED)
def test_nothing_is_assigned_to_an_object_of_another_module(module: str) -> None:
    """A callback assigned later is invisible to the constructor, to editors and to mypy."""
    found = foreign_assignments((ROOT / module).read_text())
    allowed = STATE.get(module, set())
    assert not {(line, base) for line, base in found if base not in allowed}


def test_the_check_finds_assignments() -> None:
    """It finds plain, annotated, nested and paired assignments."""
    source = """
hearing.told = told
presence.lease.lost: object = lost
hearing.presence, self.resumed = heard, resumed
session.unanswered += 1
"""
    bases = {base for _, base in foreign_assignments(source)}
    assert bases == {"hearing", "presence.lease", "session"}
