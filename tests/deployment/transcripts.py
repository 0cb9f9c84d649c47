"""Every call of `scripts/deploy create` and `destroy` as it is expected, in the files of `calls/`.

After a wanted change `python -m tests.deployment.transcripts` writes `calls/` anew; what differs is
to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import yaml

from scripts.eb.calls import AwsCalls, DeploymentFailed
from scripts.eb.creation import Creation
from scripts.eb.destroy import Destruction
from tests.deployment.fake_aws import Clients, FakeAws
from tests.deployment.fake_beanstalk import Json, Refused
from tests.deployment.plans import PLAN

FOLDER = Path(__file__).parent / "calls"
CONTENT = "<bytes>"
"""Stands for the content of a file."""


class ExpectedCall(TypedDict):
    """A call `service.operation` and its parameters."""

    call: str
    asks: Json


class AnsweredCall(ExpectedCall):
    """A call with its answer: an object, or code and message of an error."""

    answers: NotRequired[Json]
    error: NotRequired[list[str]]


def create(clients: Mapping[str, Any], report: Callable[[str], object] = lambda _: None) -> None:
    """Create the deployment of the plan, without waiting."""
    Creation(PLAN, AwsCalls(clients, report), lambda _: None).create()


def destroy(clients: Mapping[str, Any], report: Callable[[str], object] = lambda _: None) -> None:
    """Destroy it, without waiting."""
    Destruction(PLAN.name, AwsCalls(clients, report), lambda _: None).destroy()


@dataclass(frozen=True)
class Story:
    """Runs of a program. `breaks`: the call that the first run ends with, or None."""

    program: Callable[..., None]
    breaks: str | None = None
    rolls_back: bool = False
    """Whether the creation of the stack `chat` fails and is rolled back."""

    @property
    def runs(self) -> int:
        """The first run, and another one if it breaks."""
        return 2 if self.breaks or self.rolls_back else 1


STORIES = {
    "create": Story(create),
    "create-rolled-back": Story(create, rolls_back=True),
    "create-refused": Story(create, breaks="elasticbeanstalk.create_environment"),
    "destroy": Story(destroy),
    "destroy-refused": Story(destroy, breaks="cloudformation.delete_stack"),
}


def expected(story: str) -> list[ExpectedCall]:
    """Return the calls of a story, in their order."""
    found: list[ExpectedCall] = yaml.safe_load((FOLDER / f"{story}.yaml").read_text())
    return found


class RecordedAws(FakeAws):
    """An account in memory that keeps calls and answers. `breaks` names a call to refuse once."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[AnsweredCall] = []
        self.breaks: str | None = None

    def answer(self, service: str, operation: str, parameters: Json) -> Json:
        """Make one call."""
        name = f"{service}.{operation}"
        line: AnsweredCall = {"call": name, "asks": _shown(parameters)}
        self.lines.append(line)
        try:
            if name == self.breaks:
                self.breaks = None
                raise Refused("Throttling", "Rate exceeded")
            line["answers"] = _shown(super().answer(service, operation, parameters))
        except Refused as refused:
            line["error"] = [*refused.args]
            raise
        return line["answers"]


def _shown(value: Any) -> Any:
    """A copy, without the content of files and without what changes later."""
    if isinstance(value, bytes):
        return CONTENT
    if isinstance(value, Mapping):
        return {name: _shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return str(value) if isinstance(value, str) else value


def record(story: Story, clients: Clients) -> list[AnsweredCall]:
    """Play a story against the account in memory."""
    clients.aws = aws = RecordedAws()
    if story.program is destroy:
        create(clients)
        aws.lines.clear()
    aws.breaks = story.breaks
    if story.rolls_back:
        aws.failing.add(PLAN.name)
    for _ in range(story.runs - 1):
        try:
            story.program(clients)
        except DeploymentFailed:
            continue
        raise AssertionError("the first run did not break")
    story.program(clients)
    return aws.lines


def main() -> None:
    """Write all stories."""
    clients = Clients()
    for name, story in STORIES.items():
        calls = [{"call": line["call"], "asks": line["asks"]} for line in record(story, clients)]
        text = yaml.dump(calls, sort_keys=False, width=100, allow_unicode=True)
        (FOLDER / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    main()
