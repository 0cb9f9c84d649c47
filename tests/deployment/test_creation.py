"""`scripts/deploy create`: from nothing to an environment, whatever fails on the way."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.eb import create
from scripts.eb.bundle import ROOT
from scripts.eb.calls import AwsCalls, DeploymentFailed
from scripts.eb.creation import Creation, CreationPlan, GivenNetwork
from scripts.eb.options import PROPERTIES, SECRETS
from tests.deployment.fake_aws import Clients, FakeAws, output_value, sections
from tests.deployment.fake_beanstalk import ACCOUNT, PLATFORMS, REGION
from tests.deployment.plans import PLAN

ISSUED = "arn:aws:acm:eu-west-1:123456789012:certificate/ISSUED"
BUCKET = f"chat-files-{ACCOUNT}-{REGION}"
CNAME = "chat-live.eba-x.eu-west-1.elasticbeanstalk.com"


@pytest.fixture(scope="module")
def clients() -> Clients:
    """The clients, which are slow to make."""
    return Clients()


@pytest.fixture
def aws(clients: Clients) -> FakeAws:
    """An empty account."""
    clients.aws = FakeAws()
    return clients.aws


def made(clients: Clients, plan: CreationPlan = PLAN, lines: list[str] | None = None) -> str:
    """Create, without waiting; return the CNAME."""
    shown = [] if lines is None else lines
    return Creation(plan, AwsCalls(clients, shown.append), lambda _: None).create()


def state(aws: FakeAws) -> dict[str, Any]:
    """Return what there is, without the history of the calls."""
    return {
        "stacks": {n: (s.status.partition("_")[2], s.parameters) for n, s in aws.stacks.items()},
        "tags": aws.applications,
        "environments": [(one["EnvironmentName"], one["given"]) for one in aws.environments],
        "versions": list(aws.versions),
        "records": aws.records,
        "objects": aws.objects.keys(),
    }


def options(aws: FakeAws) -> dict[str, dict[str, str]]:
    """Return the options of the environment by namespace."""
    found: dict[str, dict[str, str]] = {}
    for one in aws.asked("elasticbeanstalk.create_environment")["OptionSettings"]:
        found.setdefault(one["Namespace"], {})[one["OptionName"]] = one["Value"]
    return found


def test_everything_is_made_in_its_order(clients: Clients, aws: FakeAws) -> None:
    """Checks first, then network, stack, version, environment, and the name when it is Green."""
    assert made(clients) == CNAME
    making = ("create", "put", "change", "update", "delete")
    done = [name for name in aws.names() if name.split(".")[1].startswith(making)]
    assert done == [
        "elasticbeanstalk.create_storage_location",
        *["s3.put_object"] * 4,
        "cloudformation.create_stack",
        "cloudformation.create_stack",
        "elasticbeanstalk.create_application",
        "elasticbeanstalk.create_storage_location",
        "s3.put_object",
        "elasticbeanstalk.create_application_version",
        "elasticbeanstalk.create_environment",
        "route53.change_resource_record_sets",
    ]
    assert aws.records == {"chat.example.com": CNAME}


def test_the_stacks_get_what_the_one_before_made(clients: Clients, aws: FakeAws) -> None:
    """Redis stands in the private subnets and lets in the instances' group alone."""
    made(clients)
    assert aws.stacks["chat-foundation"].parameters == {
        name: str(one["Default"]) for name, one in sections("foundation")["Parameters"].items()
    } | {"Address": "chat.example.com", "HostedZoneId": "Z1"}
    chat = aws.stacks["chat"].parameters
    assert chat["RedisSubnets"] == output_value("PrivateSubnets")
    assert chat["InstanceSecurityGroup"] == output_value("InstanceGroupId")
    assert chat["TokenSecret"] == output_value("TokenSecretArn")
    assert chat["CorsOrigins"] == "https://chat.example.com"
    assert chat["MessageCodeKey"] in aws.objects


def test_the_environment_gets_network_size_and_names_of_secrets(
    clients: Clients, aws: FakeAws
) -> None:
    """Groups, certificate, roles and type are options; secrets are ARNs, never values."""
    made(clients, replace(PLAN, key_pair="shell"))
    found = options(aws)
    group = output_value("BalancerGroupId")
    assert found["aws:elbv2:loadbalancer"] == {
        "SecurityGroups": group,
        "ManagedSecurityGroup": group,
    }
    assert found["aws:elbv2:listener:443"] == {"SSLCertificateArns": output_value("CertificateArn")}
    assert found["aws:autoscaling:launchconfiguration"] == {
        "IamInstanceProfile": "InstanceProfileName",
        "SecurityGroups": output_value("InstanceGroupId"),
        "DisableDefaultEC2SecurityGroup": "true",
        "EC2KeyName": "shell",
    }
    assert found["aws:ec2:instances"] == {"InstanceTypes": "m7g.xlarge"}
    assert found["aws:autoscaling:asg"] == {"MinSize": "3", "MaxSize": "8"}
    assert found[PROPERTIES]["RTS_STACK"] == "chat"
    assert found[SECRETS] == {
        "RTS_JWT_SECRET": output_value("TokenSecretArn"),
        "RTS_REDIS_TOKEN": output_value("RedisTokenArn"),
    }


def test_the_newest_platform_that_is_tested_is_chosen(clients: Clients, aws: FakeAws) -> None:
    """4.10 is newer than 4.9, and a Python on which no test runs is passed over."""
    made(clients)
    chosen = aws.asked("elasticbeanstalk.create_environment")["SolutionStackName"]
    assert chosen == PLATFORMS[1]


def test_all_that_is_made_has_the_tags(clients: Clients, aws: FakeAws) -> None:
    """Both stacks, the application and the environment: the operator's tags and the owner's."""
    made(clients)
    own = [{"Key": "rts:deployment", "Value": "chat"}, {"Key": "team", "Value": "messaging"}]
    tagged = [stack.tags for stack in aws.stacks.values()]
    tagged += [aws.applications["chat"], aws.environments[0]["given"]["Tags"]]
    assert all(one in tags for tags in tagged for one in own)


@pytest.mark.parametrize("how", ["refuse", "lose"])
def test_a_run_after_any_failure_goes_on(clients: Clients, how: str) -> None:
    """Whichever call is refused, or loses its answer: the next run ends as one without failure."""
    clients.aws = whole = FakeAws()
    made(clients)
    failures = 0
    for number in range(len(whole.calls)):
        clients.aws = aws = FakeAws()
        setattr(aws, how, number)
        try:
            made(clients)
        except DeploymentFailed:
            failures += 1
        assert made(clients) == CNAME, (number, aws.calls[number])
        assert state(aws) == state(whole), (number, aws.calls[number])
    # Answers that there is no stack, table or bucket yet are errors already: they cannot be lost.
    assert failures >= len(whole.calls) - 6


def test_a_second_run_changes_nothing(clients: Clients, aws: FakeAws) -> None:
    """It makes no second environment, and the stacks say that there is nothing to update."""
    made(clients)
    before = state(aws)
    aws.stacks["chat"].parameters["RestoredTables"] = "-2"
    made(clients)
    assert aws.stacks["chat"].parameters.pop("RestoredTables") == "-2"
    before["stacks"]["chat"][1].pop("RestoredTables", None)
    assert state(aws) == before


def test_another_address_is_refused(clients: Clients, aws: FakeAws) -> None:
    """`destroy` finds the record by the tags: that of another address, or zone, would stay."""
    made(clients)
    for other, says in (
        (replace(PLAN, address="talk.example.com"), r"address chat\.example\.com, not talk"),
        (replace(PLAN, zone="Z2"), "zone Z1, not Z2"),
    ):
        with pytest.raises(DeploymentFailed, match=says):
            made(clients, other)
    assert aws.records == {"chat.example.com": CNAME}


def test_a_zone_may_be_given_later(clients: Clients, aws: FakeAws) -> None:
    """The application gets its tag, so that `destroy` finds the record."""
    made(clients, replace(PLAN, zone=None, certificate=ISSUED))
    assert aws.records == {}
    made(clients, replace(PLAN, certificate=ISSUED))
    assert {"Key": "rts:zone", "Value": "Z1"} in aws.applications["chat"]
    assert aws.records == {"chat.example.com": CNAME}


def test_origins_are_those_of_the_processes_and_stay(clients: Clients, aws: FakeAws) -> None:
    """RTS_CORS_ORIGINS is that of the bucket too; a run without it keeps what there is."""
    origins = "https://chat.example.com,https://admin.example.com"
    made(clients, replace(PLAN, properties={"RTS_CORS_ORIGINS": origins}))
    assert aws.stacks["chat"].parameters["CorsOrigins"] == origins
    made(clients)
    assert aws.stacks["chat"].parameters["CorsOrigins"] == origins


def test_the_check_says_how_many_vcpus_are_needed(clients: Clients, aws: FakeAws) -> None:
    """A new account has five, and learns of it before anything is made."""
    lines: list[str] = []
    made(clients, lines=lines)
    assert "# vCPUs: 12 at once, 24 in a swap, 32 at most; new accounts have 5" in lines[:3]


def test_a_stack_whose_creation_failed_is_made_again(clients: Clients, aws: FakeAws) -> None:
    """The reason of the first resource that failed is told; the next run deletes what is left."""
    aws.failing.add("chat")
    with pytest.raises(DeploymentFailed, match=r"ROLLBACK_COMPLETE: Redis: No capacity\."):
        made(clients)
    assert made(clients) == CNAME
    assert aws.names("cloudformation.delete") == ["cloudformation.delete_stack"]


def test_an_environment_that_is_not_healthy_is_explained(clients: Clients, aws: FakeAws) -> None:
    """The events of the environment are told, and the address is not pointed to it."""
    aws.health = "Red"
    with pytest.raises(DeploymentFailed, match=r"Red after 60 s\. e-0+: no instance sends data"):
        made(clients)
    assert aws.records == {}
    aws.environments[0]["Health"] = "Green"
    assert made(clients) == CNAME


@pytest.mark.parametrize(
    ("prepared", "plan", "says"),
    [
        ({"tables": {"chat-messages"}}, PLAN, "Table chat-messages is left of an earlier"),
        ({"tables": {"chat-rooms"}}, PLAN, "Table chat-rooms is left of an earlier deployment"),
        ({"buckets": {BUCKET}}, PLAN, f"Bucket {BUCKET} is left of an earlier deployment"),
        ({"applications": {"chat": []}}, PLAN, "was not made by scripts/deploy create"),
        ({"records": {"chat.example.com": "other.example.net"}}, PLAN, "leads to other.example"),
        ({}, replace(PLAN, certificate=ISSUED[:-6] + "PENDING"), "is PENDING, not ISSUED"),
        (
            {},
            replace(PLAN, certificate=ISSUED, address="chat.example.net", zone=None),
            "is not for",
        ),
        ({}, replace(PLAN, address="chat.example.net"), "is that of example.com"),
        ({}, replace(PLAN, address="example.com"), "can have no CNAME"),
    ],
)
def test_what_is_not_ours_is_left_alone(
    clients: Clients, prepared: dict[str, Any], plan: CreationPlan, says: str
) -> None:
    """A sentence says why; nothing of somebody else is changed."""
    clients.aws = FakeAws(**prepared)
    with pytest.raises(DeploymentFailed, match=says):
        made(clients, plan)
    for name, value in prepared.items():
        assert getattr(clients.aws, name) == value


def test_a_stack_of_somebody_else_is_not_updated(clients: Clients, aws: FakeAws) -> None:
    """It has no tag of this deployment."""
    made(clients)
    aws.stacks["chat"].tags = []
    before = len(aws.calls)
    with pytest.raises(DeploymentFailed, match="rts:deployment=chat"):
        made(clients)
    assert "cloudformation.update_stack" not in [name for name, _ in aws.calls[before:]]


def test_an_application_of_somebody_else_is_refused_before_anything_is_made(
    clients: Clients, aws: FakeAws
) -> None:
    """Else the stacks would be there, and `destroy` would refuse to take them away."""
    aws.applications["chat"] = []
    with pytest.raises(DeploymentFailed, match="was not made by scripts/deploy create"):
        made(clients)
    assert aws.stacks == {}


def test_given_parts_are_used(clients: Clients, aws: FakeAws) -> None:
    """An existing network, a certificate and an identity provider: nothing of it is made."""
    network = GivenNetwork("vpc-0f", "subnet-01,subnet-02", "subnet-03,subnet-04")
    provider = {"RTS_JWKS_URL": "https://id.example.com/keys"}
    plan = replace(PLAN, network=network, certificate=ISSUED, zone=None, properties=provider)
    made(clients, plan)
    parameters = aws.stacks["chat-foundation"].parameters
    wanted = {"VpcId": "vpc-0f", "HostedZoneId": "", "MakeTokenSecret": "false"}
    assert parameters == parameters | wanted
    assert aws.stacks["chat"].parameters["TokenSecret"] == ""
    assert aws.stacks["chat"].parameters["RedisSubnets"] == "subnet-01,subnet-02"
    assert options(aws)["aws:ec2:vpc"]["ELBSubnets"] == "subnet-03,subnet-04"
    assert options(aws)["aws:elbv2:listener:443"] == {"SSLCertificateArns": ISSUED}
    assert "RTS_JWT_SECRET" not in options(aws)[SECRETS]
    assert aws.records == {}


def test_a_dry_run_prints_each_call_and_makes_none(tmp_path: Path, aws: FakeAws) -> None:
    """The calls are those of a run that meets nothing, without the waiting."""
    (tmp_path / "bundle.zip").write_bytes(b"zip")
    words = ["chat", str(tmp_path / "bundle.zip"), "--address=chat.example.com", "--zone=Z1"]
    done = subprocess.run(
        [ROOT / "scripts" / "deploy", "create", *words, "--dry-run"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "AWS_REGION": "eu-west-1"},
        check=True,
    )
    clients = Clients()
    clients.aws = aws
    made(clients)
    printed = [line.split()[0] for line in done.stdout.splitlines() if "." in line.split()[0]]
    calls = [name for name in printed if name.split(".")[0] in clients]
    waiting = {"route53.get_change"}
    assert list(dict.fromkeys(calls)) == [
        name for name in dict.fromkeys(aws.names()) if name not in waiting
    ]
    settings = next(line for line in done.stdout.splitlines() if "create_environment" in line)
    assert json.dumps("aws:elasticbeanstalk:application:environmentsecrets") in settings


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["Chat"], "lower-case"),
        (["chat"], "Give --certificate, or --zone"),
        (["chat", "--zone=Z", "--vpc=vpc-1"], "belong together"),
        (["chat", "--zone=Z", "--tag=x"], "KEY=VALUE"),
        (["chat", "--zone=Z", "--tag=rts:deployment=evil"], "say what is ours"),
        (["chat", "--zone=Z", "--messages=9", "--instance-type=t4g.small"], "are not known"),
        (["chat", "--zone=Z", "--property=RTS_X=1"], "No setting is named RTS_X"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, words: list[str], says: str) -> None:
    """Exit code 2 and a sentence, before any call."""
    (tmp_path / "b.zip").write_bytes(b"zip")
    given = [words[0], str(tmp_path / "b.zip"), "--address=a.example.com", "--dry-run", *words[1:]]
    done = CliRunner().invoke(create.main, given)
    assert (done.exit_code, says in done.output) == (2, True), done.output
