"""`scripts/deploy destroy`: what create made goes, data and everybody else's stay."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.eb import destroy
from scripts.eb.bundle import ROOT
from scripts.eb.calls import AwsCalls, DeploymentFailed
from scripts.eb.creation import Creation
from scripts.eb.destroy import KEPT, Destruction
from tests.deployment.fake_aws import Clients, FakeAws, Stack, sections
from tests.deployment.plans import PLAN

KEEPING = {"Retain", "RetainExceptOnCreate", "Snapshot"}


@pytest.fixture(scope="module")
def clients() -> Clients:
    """The clients, which are slow to make."""
    return Clients()


def account(clients: Clients) -> FakeAws:
    """Return an account with the deployment `chat` and things of others."""
    clients.aws = aws = FakeAws()
    Creation(PLAN, AwsCalls(clients, lambda _: None), lambda _: None).create()
    aws.stacks["chat-other"] = Stack("template", "CREATE_COMPLETE", {}, [])
    aws.applications["chat-other"] = []
    aws.environments.append(
        {
            "ApplicationName": "chat-other",
            "EnvironmentId": "e-other000",
            "EnvironmentName": "chat-other",
            "EnvironmentArn": "arn:aws:elasticbeanstalk:eu-west-1:1:environment/chat-other/x",
            "CNAME": "other.example.net",
            "Status": "Ready",
            "Health": "Green",
            "looks": 0,
        }
    )
    aws.records["www.example.com"] = "other.example.net"
    aws.objects["chat-other/x.zip"] = aws.objects["2026-x.zip"] = b"x"
    aws.calls.clear()
    return aws


def others(aws: FakeAws) -> dict[str, Any]:
    """Return what is left of everything but `chat`."""
    return {
        "stacks": aws.stacks.keys(),
        "applications": aws.applications.keys(),
        "environments": [
            (one["EnvironmentId"], one["Status"])
            for one in aws.environments
            if one["Status"] != "Terminated"
        ],
        "records": dict(aws.records),
        "objects": sorted(aws.objects),
    }


LEFT = {
    "stacks": {"chat-other"},
    "applications": {"chat-other"},
    "environments": [("e-other000", "Ready")],
    "records": {"www.example.com": "other.example.net"},
    "objects": ["2026-x.zip", "chat-other/x.zip"],
}


def destroyed(clients: Clients) -> None:
    """Destroy `chat` without waiting."""
    Destruction("chat", AwsCalls(clients, lambda _: None), lambda _: None).destroy()


def test_all_that_was_made_goes_and_nothing_else(clients: Clients) -> None:
    """The record first, so that nobody is led to what ends; the network last, which others use, and
    which tells a run after a failure that the uploads are ours."""
    aws = account(clients)
    destroyed(clients)
    assert others(aws) == LEFT
    ends = ("delete", "terminate", "change")
    done = [name for name in aws.names() if name.split(".")[1].startswith(ends)]
    assert done == [
        "route53.change_resource_record_sets",
        "elasticbeanstalk.terminate_environment",
        "elasticbeanstalk.delete_application",
        "cloudformation.delete_stack",
        *["s3.delete_objects"] * 3,
        "cloudformation.delete_stack",
    ]


def test_what_elastic_beanstalk_keeps_under_the_name_stays(clients: Clients) -> None:
    """A deployment may be named like a folder of its own in the bucket that all share."""
    aws = account(clients)
    own = "chat/environments/logs/run/e-1/i-1/tail.zip"
    aws.objects[own] = b"x"
    destroyed(clients)
    assert sorted(aws.objects) == sorted(["2026-x.zip", "chat-other/x.zip", own])


def test_files_of_others_under_the_name_stay(clients: Clients) -> None:
    """Only what `create` and `scripts/deploy` upload goes: versions, functions, templates."""
    aws = account(clients)
    foreign = ["chat/app-v1.zip", "chat/0123456789abcdef.zip", "chat/other.yaml"]
    aws.objects |= dict.fromkeys(foreign, b"x")
    destroyed(clients)
    assert sorted(aws.objects) == sorted(["2026-x.zip", "chat-other/x.zip", *foreign])


def test_a_name_that_was_never_created_has_nothing_to_take_away(clients: Clients) -> None:
    """Without a stack or an application of ours the folder is somebody's, whatever it holds."""
    clients.aws = aws = FakeAws()
    aws.objects["chat/0123456789ab.zip"] = aws.objects["chat/template.yaml"] = b"x"
    destroyed(clients)
    assert sorted(aws.objects) == ["chat/0123456789ab.zip", "chat/template.yaml"]


def test_an_environment_made_by_hand_stops_it_before_the_question(clients: Clients) -> None:
    """It is named, and nothing is taken away."""
    aws = account(clients)
    own = deepcopy(aws.environments[0])
    own |= {"EnvironmentId": "e-hand0000", "EnvironmentName": "by-hand", "EnvironmentArn": "arn:h"}
    own["given"] = {"Tags": []}
    aws.environments.append(own)
    before = repr(others(aws))
    destruction = Destruction("chat", AwsCalls(clients, lambda _: None), lambda _: None)
    for step in (destruction.kept, destruction.destroy):
        with pytest.raises(DeploymentFailed, match="by-hand in application chat without tag"):
            step()
    assert repr(others(aws)) == before


@pytest.mark.parametrize("how", ["refuse", "lose"])
def test_a_run_after_any_failure_takes_the_rest(clients: Clients, how: str) -> None:
    """Whichever call is refused, or loses its answer: the next run ends as one without failure."""
    number = 0
    while True:
        aws = account(clients)
        setattr(aws, how, number)
        try:
            destroyed(clients)
        except DeploymentFailed:
            destroyed(clients)
        assert others(aws) == LEFT, number
        if number >= len(aws.calls):
            break
        number += 1
    assert number > 15


def test_environments_of_later_versions_go_too(clients: Clients) -> None:
    """After a swap the environment has another name; the record leads to it."""
    aws = account(clients)
    clone = deepcopy(aws.environments[0])
    clone |= {"EnvironmentId": "e-clone000", "CNAME": "chat-clone.elasticbeanstalk.com"}
    aws.environments.append(clone)
    aws.environments[0]["CNAME"], clone["CNAME"] = clone["CNAME"], aws.environments[0]["CNAME"]
    destroyed(clients)
    assert others(aws) == LEFT


def test_a_busy_environment_is_terminated_once_it_is_ready(clients: Clients) -> None:
    """Elastic Beanstalk refuses it before, so the call is repeated."""
    aws = account(clients)
    aws.environments[0] |= {"Status": "Launching", "looks": 4}
    destroyed(clients)
    assert others(aws) == LEFT
    assert aws.names().count("elasticbeanstalk.terminate_environment") > 1


def test_a_record_that_leads_elsewhere_stays(clients: Clients) -> None:
    """Somebody has moved the address since."""
    aws = account(clients)
    aws.records["chat.example.com"] = "other.example.net"
    destroyed(clients)
    assert aws.records["chat.example.com"] == "other.example.net"


@pytest.mark.parametrize("what", ["stacks", "applications"])
def test_what_create_did_not_make_is_refused(clients: Clients, what: str) -> None:
    """A stack or an application of the same name without our tag is somebody's."""
    aws = account(clients)
    if what == "stacks":
        aws.stacks["chat"].tags = []
    else:
        aws.applications["chat"] = []
    destruction = Destruction("chat", AwsCalls(clients, lambda _: None), lambda _: None)
    with pytest.raises(DeploymentFailed, match="was not made by scripts/deploy create"):
        destruction.kept()
    with pytest.raises(DeploymentFailed, match="was not made by scripts/deploy create"):
        destruction.destroy()
    assert "chat-foundation" in aws.stacks
    if what == "applications":
        assert aws.applications.keys() == {"chat", "chat-other"}


def test_what_stays_is_what_the_template_keeps(clients: Clients) -> None:
    """Each resource that outlives the stack is shown by its name, before anything is done."""
    resources = sections("template")["Resources"]
    kept = {name for name, one in resources.items() if one.get("DeletionPolicy") in KEEPING}
    assert KEPT.keys() == kept
    aws = account(clients)
    lines = Destruction("chat", AwsCalls(clients, lambda _: None), lambda _: None).kept()
    assert all(any(f"chat/{name}" in line for line in lines) for name in kept)
    assert not {name.split(".")[1] for name in aws.names()} & {"delete_stack", "put_object"}


@pytest.fixture
def command(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    """The command with these clients, and without waiting."""
    monkeypatch.setattr(destroy, "aws_clients", lambda *_: clients)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return account(clients)


def test_it_asks_first(command: FakeAws) -> None:
    """A no changes nothing; --yes does not ask. What stays is shown before and after."""
    done = CliRunner().invoke(destroy.main, ["chat"], input="n\n")
    assert (done.exit_code, "chat/MessagesTable" in done.output) == (1, True)
    assert "chat" in command.stacks
    done = CliRunner().invoke(destroy.main, ["chat", "--yes"])
    assert (done.exit_code, done.output.count("chat/MessagesTable")) == (0, 2)
    assert others(command) == LEFT


def test_a_dry_run_prints_each_call_and_makes_none() -> None:
    """It needs no credentials and asks nothing."""
    done = subprocess.run(
        [ROOT / "scripts" / "deploy", "destroy", "chat", "--dry-run"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        check=True,
    )
    for call in (
        "terminate_environment",
        "delete_application",
        "delete_stack",
        "list_objects_v2",
        "delete_objects",
        "change_resource_record_sets",
    ):
        assert call in done.stdout
    assert "is gone" not in done.stdout
