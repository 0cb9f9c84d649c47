"""scripts/deploy: every call to AWS, roll-backs included, and the actions beside AWS."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from scripts.eb.bundle import ROOT
from scripts.eb.calls import DeploymentFailed
from scripts.eb.deploy import DeploymentPlan, new_environment_name
from scripts.eb.environments import MAX_ENVIRONMENT_CHECKS, UnclearState
from scripts.eb.options import PROPERTIES, SECRETS
from tests.deployment.stubbed_aws import APP, GREEN, OLD, PLAN, SWAP, VERSION, Aws, min_size


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Stubs without expectations; at the end all expected calls must have been made."""
    stubbed = Aws()
    yield stubbed
    stubbed.assert_all_called()


IDS = {"EnvironmentIds": [GREEN]}


def test_a_deployment_tests_swaps_tests_drains_and_terminates(aws: Aws) -> None:
    """The clone is tested before and after the swap; the old environment is drained, then ended."""
    aws.expect_clone()
    aws.expect_described(IDS, "Launching", "Grey")
    aws.expect_described(IDS, "Ready", "Green")
    aws.expect_swap(GREEN, OLD)
    aws.expect_configuration_deleted()
    aws.expect("terminate_environment", EnvironmentId=OLD)
    assert aws.deploy() is None
    order = [line for line in aws.reported if line.startswith(("test", "drain")) or SWAP in line]
    swapped = f"elasticbeanstalk.{SWAP}"
    assert order == [f"test {GREEN}.test", swapped, "test None", "drain ['i-old']"]
    assert aws.reported[-1] == "elasticbeanstalk.terminate_environment"
    assert aws.slept == [15.0, 60.0]


def test_a_version_is_uploaded_once_and_the_old_environment_may_be_kept(aws: Aws) -> None:
    """A bundle that is a version is not uploaded again; with keep_old nothing is terminated."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.expect_swap(GREEN, OLD)
    aws.expect_configuration_deleted()
    plan = DeploymentPlan(PLAN.live, PLAN.new, PLAN.label, PLAN.url, keep_old=True)
    assert aws.deploy(plan) is None


def test_a_clone_has_as_many_instances_as_the_live_environment(aws: Aws) -> None:
    """The clone starts with the eight that run, and gets the minimum of two after the drain."""
    aws.expect_clone(published=True, running=8)
    aws.expect_described(IDS, "Ready")
    aws.expect_swap(GREEN, OLD)
    aws.expect_configuration_deleted()
    aws.expect("terminate_environment", EnvironmentId=OLD)
    aws.expect("update_environment", EnvironmentId=GREEN, OptionSettings=min_size(2))
    assert aws.deploy() is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"RTS_CORS_ORIGINS": "x" * 2_000}, "3896 at most"),
        ({"RTS_PORT": "http"}, "RTS_PORT"),
    ],
)
def test_changes_are_checked_with_the_live_properties(
    aws: Aws, changes: dict[str, str], says: str
) -> None:
    """In size and value, before anything is made: the clone would not start."""
    live = {"Namespace": PROPERTIES, "OptionName": "RTS_RATES", "Value": "x" * 2_000}
    aws.expect_described({"EnvironmentNames": ["chat-live"], "IncludeDeleted": False}, "Ready")
    aws.expect(
        "describe_configuration_settings",
        {"ConfigurationSettings": [{"OptionSettings": [live]}]},
        **APP,
        EnvironmentName="chat-live",
    )
    with pytest.raises(DeploymentFailed, match=says):
        aws.deploy(replace(PLAN, properties=changes))


def test_properties_change_on_the_clone(aws: Aws) -> None:
    """The live environment is not touched: a changed property would restart its processes."""
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:new"
    changes = [
        {"Namespace": PROPERTIES, "OptionName": "RTS_LOG_LEVEL", "Value": "DEBUG"},
        {"Namespace": SECRETS, "OptionName": "RTS_REDIS_TOKEN", "Value": arn},
    ]
    aws.expect_clone(published=True, running=3, changes=changes)
    aws.expect_described(IDS, "Ready")
    aws.expect_swap(GREEN, OLD)
    aws.expect_configuration_deleted()
    aws.expect("terminate_environment", EnvironmentId=OLD)
    aws.expect("update_environment", EnvironmentId=GREEN, OptionSettings=min_size(2))
    properties = {"RTS_LOG_LEVEL": "DEBUG", "RTS_REDIS_TOKEN": arn}
    assert aws.deploy(replace(PLAN, properties=properties)) is None


def test_a_minimum_that_cannot_be_restored_is_reported(aws: Aws) -> None:
    """The new version serves by then; the operator is told that more instances run than needed."""
    aws.expect_clone(published=True, running=3)
    aws.expect_described(IDS, "Ready")
    aws.expect_swap(GREEN, OLD)
    aws.expect_configuration_deleted()
    aws.expect("terminate_environment", EnvironmentId=OLD)
    aws.refuse("update_environment")
    assert "at least 3 instances" in (aws.deploy() or "")


@pytest.mark.parametrize(
    ("status", "error"), [("FAILED", "could not process"), ("PROCESSING", "PROCESSING after")]
)
def test_a_version_that_is_not_processed_ends_the_deployment(
    aws: Aws, status: str, error: str
) -> None:
    """A failed version is not deployed, and one in processing is awaited for 10 minutes."""
    aws.expect_described({"EnvironmentNames": ["chat-live"], "IncludeDeleted": False}, "Ready")
    aws.expect_capacity(2)
    versions = {"ApplicationVersions": [{"VersionLabel": "0123abcd4567", "Status": status}]}
    for _ in range(1 if status == "FAILED" else MAX_ENVIRONMENT_CHECKS + 1):
        aws.expect("describe_application_versions", versions, **APP, **VERSION)
    with pytest.raises(DeploymentFailed, match=error):
        aws.deploy()


def test_a_busy_clone_is_terminated_once_it_is_ready(aws: Aws) -> None:
    """Elastic Beanstalk refuses to terminate it before, so the call is repeated."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Launching", "Grey")
    for _ in range(2):
        aws.expect_described(IDS, "Launching", "Grey")
    for _ in range(3):
        aws.refuse("terminate_environment", "InvalidParameterValue")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.expect_configuration_deleted()
    with pytest.raises(DeploymentFailed, match="Launching") as caught:
        aws.deploy()
    assert not isinstance(caught.value, UnclearState)


def test_environments_that_are_busy_are_swapped_when_they_are_ready(aws: Aws) -> None:
    """The live one may have begun to scale since the start; nothing is undone for it."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    for _ in range(2):
        aws.refuse(SWAP, "InvalidParameterValue")
    aws.expect_swap(GREEN, OLD)
    aws.expect_configuration_deleted()
    aws.expect("terminate_environment", EnvironmentId=OLD)
    assert aws.deploy() is None
    assert aws.slept == [15.0, 15.0, 60.0]


def test_a_clone_that_does_not_become_healthy_is_terminated(aws: Aws) -> None:
    """The clone is terminated after the timeout, and the live environment is not touched."""
    aws.expect_clone(published=True)
    for _ in range(3):
        aws.expect_described(IDS, "Ready", "Red")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.expect_configuration_deleted()
    with pytest.raises(DeploymentFailed, match="Red after 30 s"):
        aws.deploy()


def test_a_failed_smoke_test_swaps_nothing(aws: Aws) -> None:
    """The clone is terminated before any client could reach it."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.expect_configuration_deleted()
    with pytest.raises(DeploymentFailed, match="broken"):
        aws.deploy(broken=f"{GREEN}.test")
    assert not any("drain" in line for line in aws.reported)


def test_a_swap_is_undone_if_the_live_address_does_not_serve(aws: Aws) -> None:
    """The CNAMEs are swapped back, and the clone ends only after the TTL of DNS."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.expect_swap(GREEN, OLD)
    aws.expect_swap(OLD, GREEN)
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.expect_configuration_deleted()
    with pytest.raises(DeploymentFailed, match="broken"):
        aws.deploy(broken=None)
    assert aws.slept == [60.0, 60.0]


def test_an_unclear_swap_is_left_to_the_operator(aws: Aws) -> None:
    """If a swap fails, nobody knows who has the address: neither environment is terminated."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.refuse(SWAP)
    aws.expect_configuration_deleted()
    with pytest.raises(UnclearState, match="both run"):
        aws.deploy()


def test_a_clone_that_cannot_be_created_leaves_no_configuration(aws: Aws) -> None:
    """The saved configuration is deleted, or the next deployment would fail on it."""
    aws.expect_clone(published=True, refused=True)
    aws.expect_configuration_deleted()
    with pytest.raises(DeploymentFailed, match="create_environment"):
        aws.deploy()


def test_a_clone_that_cannot_be_terminated_is_reported(aws: Aws) -> None:
    """The error says why the clone had to end and that it still runs, not that all is undone."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.refuse("terminate_environment")
    aws.expect_configuration_deleted()
    with pytest.raises(UnclearState, match=f"broken.*terminate.*{GREEN} still runs"):
        aws.deploy(broken=f"{GREEN}.test")


def test_a_configuration_that_cannot_be_deleted_is_only_reported(aws: Aws) -> None:
    """The new version serves by then: the old environment is terminated all the same."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.expect_swap(GREEN, OLD)
    aws.refuse("delete_configuration_template")
    aws.expect("terminate_environment", EnvironmentId=OLD)
    assert aws.deploy() is None
    assert "Configuration" in aws.reported


def test_a_configuration_that_cannot_be_deleted_hides_no_failure(aws: Aws) -> None:
    """The error raised is the reason why the deployment failed."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.refuse("delete_configuration_template")
    with pytest.raises(DeploymentFailed, match="broken"):
        aws.deploy(broken=f"{GREEN}.test")


def test_an_interruption_leaves_no_clone(aws: Aws) -> None:
    """Ctrl-C during the test of the clone terminates the clone."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.expect("terminate_environment", EnvironmentId=GREEN)
    aws.expect_configuration_deleted()

    def interrupted(_: str | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        aws.deploy(smoke_test=interrupted)


def test_a_failed_drain_is_only_reported(aws: Aws) -> None:
    """The new version serves by then, and instances drain when they are terminated."""
    aws.expect_clone(published=True)
    aws.expect_described(IDS, "Ready")
    aws.expect_swap(GREEN, OLD)
    aws.expect_configuration_deleted()
    aws.expect("terminate_environment", EnvironmentId=OLD)

    def drain(_: list[str]) -> None:
        raise DeploymentFailed("404")

    assert "404" in (aws.deploy(drain=drain) or "")


def test_a_busy_environment_is_not_touched(aws: Aws) -> None:
    """A deployment is refused while another one changes the environment."""
    aws.expect_described({"EnvironmentNames": ["chat-live"], "IncludeDeleted": False}, "Updating")
    with pytest.raises(DeploymentFailed, match="Updating"):
        aws.deploy()


@pytest.mark.parametrize(
    ("live", "new"),
    [
        ("chat-live", "chat-live-0123abcd"),
        ("chat-live-89abcdef", "chat-live-0123abcd"),
        ("c" * 40, "c" * 31 + "-0123abcd"),
    ],
)
def test_environment_names_do_not_grow(live: str, new: str) -> None:
    """The version at the end of the name is replaced, within 40 characters."""
    assert new_environment_name(live, PLAN.label) == new


def test_a_property_needs_no_other_bundle(tmp_path: Path) -> None:
    """The same bundle is refused alone; with a changed property the environment has a new name."""
    (tmp_path / "b.zip").write_bytes(b"zip")
    live = new_environment_name("chat", sha256(b"zip").hexdigest())
    command = [str(ROOT / "scripts" / "deploy"), "chat", live, str(tmp_path / "b.zip")]
    command += ["--dry-run", "--url", "https://chat.example.com"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False)

    assert "runs this bundle already" in run().stderr
    done = run("--set", "RTS_LOG_LEVEL=DEBUG")
    assert done.returncode == 0
    assert f'EnvironmentName="{live}"' not in done.stdout.partition("create_environment")[2]
    assert '"RTS_LOG_LEVEL"' in done.stdout
    wrong = run("--set", "RTS_LOG_LEVLE=DEBUG")
    assert (wrong.returncode, "RTS_LOG_LEVLE" in wrong.stderr) == (2, True)


def test_a_dry_run_prints_each_call(tmp_path: Path) -> None:
    """Without credentials or tokens, a dry run prints the whole plan to standard output."""
    (tmp_path / "b.zip").write_bytes(b"zip")
    program, bundle = str(ROOT / "scripts" / "deploy"), str(tmp_path / "b.zip")
    command = [program, "chat", "chat-live", bundle, "--dry-run"]
    done = subprocess.run(
        [*command, "--url", "https://chat.example.com"], capture_output=True, text=True, check=True
    )
    lines = [line.split()[0].partition(".")[2] or line for line in done.stdout.splitlines()]
    assert lines[:11] == [
        "describe_environments",
        "describe_configuration_settings",
        "describe_environment_resources",
        "describe_application_versions",
        "create_storage_location",
        "put_object",
        "create_application_version",
        "describe_application_versions",
        "list_tags_for_resource",
        "create_configuration_template",
        "create_environment",
    ]
    clone = new_environment_name("chat-live", sha256(b"zip").hexdigest())
    assert lines[11:] == [
        "describe_environments",
        f"smoke test of <CNAME of <id of {clone}>>",
        SWAP,
        "describe_environments",
        "describe_environments",
        "pause of 60 s",
        "smoke test of https://chat.example.com",
        "delete_configuration_template",
        "drain of <instances of chat-live>",
        "terminate_environment",
    ]


def test_a_missing_region_is_a_usage_error(tmp_path: Path) -> None:
    """Without a region the command ends with exit code 2 and a sentence."""
    (tmp_path / "b.zip").write_bytes(b"zip")
    nowhere = {"PATH": os.environ["PATH"], "AWS_CONFIG_FILE": str(tmp_path / "none")}
    command = [str(ROOT / "scripts" / "deploy"), "chat", "chat-live", str(tmp_path / "b.zip")]
    done = subprocess.run(
        [*command, "--url", "https://chat.example.com"],
        env=nowhere | {"RTS_SMOKE_TOKEN": "x", "RTS_OPERATOR_TOKEN": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "region" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr
