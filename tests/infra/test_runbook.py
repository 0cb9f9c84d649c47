"""Commands of the operators' documents against what AWS does by default."""

from __future__ import annotations

import re
import shlex

import botocore.session
import pytest
from botocore import xform_name

from tests.helpers.template import PATH

DOCS = PATH.parents[1] / "docs"


def commands(program: str) -> list[str]:
    """Return the commands of all documents that begin with these words, continued lines joined."""
    texts = [path.read_text().replace("\\\n", " ") for path in sorted(DOCS.glob("*.md"))]
    return [found for text in texts for found in re.findall(rf"{program}[^`\n]*", text)]


def test_a_new_token_of_redis_is_applied_at_once() -> None:
    """Without --apply-immediately it would wait for the maintenance window, and the URL fail."""
    rotations = commands("aws elasticache modify-replication-group")
    assert rotations
    assert [one for one in rotations if "--apply-immediately" not in one] == []


def test_the_template_travels_through_a_bucket() -> None:
    """It is larger than the 51,200 bytes that a request holds."""
    deployments = [one for one in commands("aws cloudformation deploy") if "template.yaml" in one]
    assert deployments
    assert [one for one in deployments if "--s3-bucket" not in one] == []


CUSTOM = {
    "aws s3 cp": {"recursive", "exclude", "include"},
    "aws cloudformation deploy": {
        "stack-name",
        "template-file",
        "s3-bucket",
        "capabilities",
        "parameter-overrides",
        "no-execute-changeset",
    },
}
"""Commands of the AWS CLI that are no operation of a service, with the options used here."""
OF_EVERY_COMMAND = {"query", "output", "region", "cli-binary-format", "max-items"}


def misspelt(command: str) -> list[str]:
    """Return what botocore does not know in a command of the AWS CLI."""
    words = shlex.split(command.replace("…", "x").replace("[", "x").replace("]", "x"))
    given = {word[2:] for word in words if word.startswith("--")}
    if known := CUSTOM.get(" ".join(words[:3])):
        return sorted(given - known)
    session = botocore.session.get_session()
    if words[1] not in session.get_available_services():
        return [f"service {words[1]}"]
    model = session.get_service_model(words[1])
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if words[2] not in names:
        return [f"operation {words[2]}"]
    shape = model.operation_model(names[words[2]]).input_shape
    members = dict(shape.members) if shape else {}
    allowed = {xform_name(name, "-") for name in members} | OF_EVERY_COMMAND
    allowed |= {f"no-{xform_name(n, '-')}" for n, m in members.items() if m.type_name == "boolean"}
    if words[1:3] == ["lambda", "invoke"]:
        given.discard("payload")
    required = {xform_name(name, "-") for name in (shape.required_members if shape else [])}
    missing = required - {option.removeprefix("no-") for option in given}
    return sorted(given - allowed) + sorted(missing)


def test_every_command_of_the_aws_cli_exists() -> None:
    """Service, operation, options and what is required, by botocore's own models."""
    blocks = [
        block
        for path in sorted(DOCS.glob("*.md"))
        for block in re.findall(
            r"^```sh \w+\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL
        )
    ]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [line.partition("    #")[0] for line in lines if line.startswith("aws ")]
    assert len(found) > 25
    assert {one: wrong for one in found if (wrong := misspelt(one))} == {}


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("aws sqs get-queue-attribute --queue-url x", ["operation get-queue-attribute"]),
        ("aws sqs get-queue-attributes --queue x", ["queue", "queue-url"]),
        ("aws beanstalk describe-events", ["service beanstalk"]),
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str, wrong: list[str]) -> None:
    """A misspelt option is named, and a required one that is missing."""
    assert misspelt(command) == wrong


def test_every_step_of_the_first_day_says_what_to_see_and_what_else_to_do() -> None:
    """Nothing of it was tried, so no step may end with a command."""
    page = (DOCS / "first-day.md").read_text()
    steps = re.split(r"^## \d+\. ", page.partition("## What was read")[0], flags=re.MULTILINE)[1:]
    assert len(steps) == 10
    assert [step.splitlines()[0] for step in steps if "**See**" not in step] == []
    without = [step.splitlines()[0] for step in steps if "**If not**" not in step]
    assert without == []
