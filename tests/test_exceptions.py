"""No exception instance is raised twice: each raise would add its frames to the same traceback."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path for package in ("rts_server", "lambdas") for path in (ROOT / package).rglob("*.py")
)
BUILTIN = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}


def exception_names(trees: list[ast.Module]) -> set[str]:
    """Return the names of all exception classes, those of Python included."""
    bases = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    known = set(BUILTIN)
    while more := {name for name, of in bases.items() if of & known} - known:
        known |= more
    return known


def shared(tree: ast.Module, exceptions: set[str]) -> Iterator[ast.Call]:
    """Yield exception instances that are created when a module is imported."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and name.rpartition(".")[2] in exceptions:
            yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif isinstance(node, ast.Lambda):
            continue
        else:
            waiting += ast.iter_child_nodes(node)


def stored(tree: ast.Module) -> Iterator[ast.Raise]:
    """Yield raises of a constant or of an item of a container."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            constant = isinstance(node.exc, ast.Name) and node.exc.id.isupper()
            if constant or isinstance(node.exc, ast.Subscript):
                yield node


def faults(sources: dict[str, str]) -> list[str]:
    """Return where an exception instance is shared, as `file:line`."""
    trees = {name: ast.parse(source) for name, source in sources.items()}
    exceptions = exception_names(list(trees.values()))
    found: list[str] = []
    for name, tree in trees.items():
        found += [f"{name}:{call.lineno}" for call in shared(tree, exceptions)]
        found += [f"{name}:{raised.lineno}" for raised in stored(tree)]
    return found


def test_no_exception_instance_is_shared() -> None:
    """Modules hold exception classes or functions that create exceptions, no instances."""
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in FILES}
    assert faults(sources) == []


def test_the_check_finds_shared_instances() -> None:
    """It finds a table of instances, a constant and a default."""
    source = (
        "class Refusal(Exception): ...\n"
        "REFUSALS = {'a': Refusal()}\n"
        "NEVER = Refusal()\n"
        "def f(failed=Refusal()):\n"
        "    raise REFUSALS['a']\n"
        "def g():\n"
        "    raise NEVER\n"
        "MAKE = {'a': lambda: Refusal(), 'b': Refusal}\n"
        "def h():\n"
        "    raise MAKE['a']()\n"
    )
    lines = sorted(int(one.partition(":")[2]) for one in faults({"old": source}))
    assert lines == [2, 3, 4, 5, 7]
