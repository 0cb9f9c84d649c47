"""Stands in for the AWS CLI: checks a command line against botocore's descriptions of AWS.

Services, operations, parameters, their enumerations and whether one is missing are those of the
API (botocore); how the CLI writes them, and its own commands below, are of the AWS CLI 2 reference,
read on 2026-11-28.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import jmespath
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, Shape

GLOBAL_OPTIONS = {"cli-binary-format", "output", "profile", "query", "region"}
PAGING_OPTIONS = {"max-items", "page-size", "starting-token"}
FLAGS = {"no-cli-pager", "no-paginate"}
OWN_COMMANDS = {
    ("cloudformation", "deploy"): {
        *("stack-name", "template-file", "s3-bucket", "capabilities", "parameter-overrides"),
        *("no-execute-changeset", "tags"),
    },
    ("s3", "cp"): {"recursive", "exclude", "include"},
    ("s3", "ls"): {"recursive"},
    ("s3", "rm"): {"recursive"},
}
"""Commands that are not an operation of an API, with those of their options that we use."""
POSITIONAL = {("lambda", "invoke"): 1}
"""Operations that take an argument without an option: the file of the answer."""


TEXT_VARIABLE = "AWS_STAND_IN_TEXT"
"""Variable with what a call prints for `--output text`; other calls print nothing."""


class WrongCall(Exception):
    """The AWS CLI would refuse the command line."""


def check(words: list[str]) -> None:
    """Check the words behind `aws`. Raises WrongCall."""
    if len(words) < 2:
        raise WrongCall("a service and an operation are needed")
    service, operation, *rest = words
    options, others = split(rest)
    if (own := OWN_COMMANDS.get((service, operation))) is not None:
        if unknown := options.keys() - own - GLOBAL_OPTIONS:
            raise WrongCall(f"{service} {operation} has no --{unknown.pop()}")
        return
    model = operation_model(service, operation)
    if len(others) != POSITIONAL.get((service, operation), 0):
        raise WrongCall(f"unexpected {others}")
    check_options(model, options)
    if query := options.get("query"):
        check_query(model, " ".join(query))


def split(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the values of each option, and the words before the first one or behind a file."""
    options: dict[str, list[str]] = {}
    others: list[str] = []
    values = others
    for word in words:
        if word.startswith("--"):
            name, sign, value = word[2:].partition("=")
            values = options.setdefault(name, [])
            values += [value] if sign else []
        elif word == "/dev/stdout":
            others.append(word)
        else:
            values.append(word)
    return options, others


@cache
def session() -> botocore.session.Session:
    """Return a session whose descriptions are read once."""
    return botocore.session.Session()


def operation_model(service: str, operation: str) -> OperationModel:
    """Return the description of an operation by its name in the CLI. Raises WrongCall."""
    try:
        model = session().get_service_model(service)
    except UnknownServiceError:
        raise WrongCall(f"there is no service {service}") from None
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        raise WrongCall(f"{service} has no operation {operation}")
    return model.operation_model(names[operation])


def check_options(model: OperationModel, options: dict[str, list[str]]) -> None:
    """Check that each option is a parameter, and that none is missing. Raises WrongCall."""
    members = model.input_shape.members if model.input_shape else {}
    known = {xform_name(name, "-"): name for name in members}
    negative = {f"no-{name}" for name, at in known.items() if members[at].type_name == "boolean"}
    allowed = known.keys() | negative | GLOBAL_OPTIONS | PAGING_OPTIONS | FLAGS
    if unknown := options.keys() - allowed:
        raise WrongCall(f"{model.name} has no --{unknown.pop()}")
    required = set(model.input_shape.required_members if model.input_shape else ())
    given = {
        known[name.removeprefix("no-")] for name in options if name.removeprefix("no-") in known
    }
    given |= {known[name] for name in options if name in known}
    if missing := required - given:
        raise WrongCall(f"{model.name} needs {sorted(missing)}")
    for name, values in options.items():
        if name in known:
            check_value(members[known[name]], name, values)


def check_value(shape: Any, option: str, values: list[str]) -> None:
    """Check enumerations, and that a flag has no value. Raises WrongCall."""
    text = shape.member if shape.type_name == "list" else shape
    choices = getattr(text, "enum", None)
    if choices and not set(values) <= set(choices):
        raise WrongCall(f"--{option} is one of {choices}, not {values}")
    if (shape.type_name == "boolean") == bool(values):
        raise WrongCall(f"--{option} {values}: a flag has no value, anything else has one")


def check_query(model: OperationModel, text: str) -> None:
    """Check that a --query is JMESPath and its fields are in the answer. Raises WrongCall."""
    try:
        parsed = jmespath.compile(text).parsed
    except jmespath.exceptions.JMESPathError as error:
        raise WrongCall(f"--query {text}: {error}") from None
    names = set(members_of(model.output_shape, set()))
    if unknown := set(fields_of(parsed)) - names:
        raise WrongCall(f"the answer of {model.name} has no {sorted(unknown)}")


def fields_of(node: dict[str, Any]) -> Iterator[str]:
    """Yield the names of fields in a parsed query."""
    if node["type"] == "field":
        yield node["value"]
    for child in node["children"]:
        yield from fields_of(child)


def members_of(shape: Shape | None, seen: set[str]) -> Iterator[str]:
    """Yield the names of all fields of a shape and of those below it."""
    if shape is None or shape.name in seen:
        return
    seen.add(shape.name)
    below: Any = shape
    if shape.type_name == "structure":
        for name, member in below.members.items():
            yield name
            yield from members_of(member, seen)
    elif shape.type_name == "list":
        yield from members_of(below.member, seen)
    elif shape.type_name == "map":
        yield from members_of(below.value, seen)


def main() -> int:
    """Exit status of the command that stands in for `aws`: 0, or 252 as that of the CLI."""
    try:
        check(sys.argv[1:])
    except WrongCall as wrong:
        print(f"aws {json.dumps(sys.argv[1:])}: {wrong}", file=sys.stderr)
        return 252
    if "--output text" in " ".join(sys.argv):
        print(os.environ.get(TEXT_VARIABLE, "a-text"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
