"""`.ebextensions` agrees with the settings."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from cfnlint import lint

from rts_server import emf
from rts_server.config import Settings
from rts_server.drain import LAST_CLOSE_SECONDS, LONGEST_SPREAD_SECONDS
from rts_server.runtime.target_lifecycle import CHECK_EVERY_SECONDS
from scripts.eb.drain import DRAIN_CHECK_SECONDS, MAX_DRAIN_CHECKS
from tests.deployment.platform import ROOT
from tests.helpers.template import of_type


def environment() -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Options by namespace, and resources, of all files in order."""
    options: dict[str, dict[str, Any]] = {}
    resources: dict[str, Any] = {}
    for path in sorted((ROOT / ".ebextensions").glob("*.config")):
        parsed = yaml.safe_load(path.read_text())
        for namespace, values in parsed.get("option_settings", {}).items():
            assert not values.keys() & options.get(namespace, {}).keys(), namespace
            options.setdefault(namespace, {}).update(values)
        resources |= parsed.get("Resources", {})
    return options, resources


def test_times_fit_the_settings() -> None:
    """The idle timeout exceeds a missed ping, deregistration a drain; health is readiness."""
    options, _ = environment()
    settings = Settings()
    process = options["aws:elasticbeanstalk:environment:process:default"]
    idle = options["aws:elbv2:loadbalancer"]["IdleTimeout"]
    assert idle > settings.ping_interval + settings.ping_timeout
    drain = LONGEST_SPREAD_SECONDS + LAST_CLOSE_SECONDS
    assert process["DeregistrationDelay"] >= CHECK_EVERY_SECONDS + drain
    assert drain <= DRAIN_CHECK_SECONDS * MAX_DRAIN_CHECKS
    assert (process["HealthCheckPath"], process["Port"]) == ("/health/ready", 80)
    nginx = (ROOT / ".platform" / "nginx" / "nginx.conf").read_text()
    assert f"keepalive_timeout      {idle + 30}s" in nginx


def test_the_balancer_needs_no_stickiness() -> None:
    """With WebSocket only there is no cookie; deployments are immutable; logs are kept."""
    options, _ = environment()
    assert Settings().transports == "websocket"
    assert not options["aws:elasticbeanstalk:environment:process:default"]["StickinessEnabled"]
    assert options["aws:elasticbeanstalk:command"]["DeploymentPolicy"] == "Immutable"
    assert options["aws:elasticbeanstalk:environment"]["LoadBalancerType"] == "application"
    logs = options["aws:elasticbeanstalk:cloudwatch:logs"]
    assert (logs["StreamLogs"], logs["DeleteOnTerminate"]) == (True, False)


def test_the_processes_listen_where_nginx_connects() -> None:
    """Host and first port in the environment are those of the upstream that the hook writes."""
    options, _ = environment()
    given = options["aws:elasticbeanstalk:application:environment"]
    assert (given["RTS_HOST"], given["RTS_PORT"]) == ("127.0.0.1", 8000)
    hook = (ROOT / ".platform" / "hooks" / "prebuild" / "10_units.sh").read_text()
    assert "server 127.0.0.1:%d max_fails=0;\\n' $((8000 + n))" in hook


STACK = {
    "Fn::GetOptionSetting": {
        "Namespace": "aws:elasticbeanstalk:application:environment",
        "OptionName": "RTS_STACK",
        "DefaultValue": Settings().stack,
    }
}


def test_instances_are_launched_from_a_template() -> None:
    """New accounts refuse launch configurations; IMDSv1 is off, and the type is not the tiniest."""
    options, _ = environment()
    launch = options["aws:autoscaling:launchconfiguration"]
    assert launch == {"DisableIMDSv1": True, "RootVolumeType": "gp3"}
    types = options["aws:ec2:instances"]
    priced = re.search(r"\| E \| (\S+) \(", (ROOT / "docs" / "cost.md").read_text())
    assert priced
    assert types == {"InstanceTypes": priced[1], "SupportedArchitectures": "arm64"}


def test_tokens_travel_over_tls_only() -> None:
    """Port 443 has a policy with TLS 1.2 and newer, and port 80 redirects to it."""
    options, resources = environment()
    secure = options["aws:elbv2:listener:443"]
    assert (secure["ListenerEnabled"], secure["Protocol"]) == (True, "HTTPS")
    assert secure["SSLPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    plain = resources["AWSEBV2LoadBalancerListener"]["Properties"]
    (action,) = plain["DefaultActions"]
    assert (plain["Port"], action["Type"]) == (80, "redirect")
    assert action["RedirectConfig"]["Protocol"] == "HTTPS"


def test_clients_mistakes_do_not_change_the_health() -> None:
    """Only Green environments are swapped, so a scan for pages that are absent must not matter."""
    options, _ = environment()
    rules = json.loads(options["aws:elasticbeanstalk:healthreporting:system"]["ConfigDocument"])
    of = rules["Rules"]["Environment"]
    assert of["Application"]["ApplicationRequests4xx"] == {"Enabled": False}
    assert of["ELB"]["ELBRequests4xx"] == {"Enabled": False}


def test_scaling_tracks_cpu_and_connections() -> None:
    """Two target-tracking policies scale from two instances, by their own environment."""
    options, resources = environment()
    group = options["aws:autoscaling:asg"]
    assert 2 <= group["MinSize"] < group["MaxSize"]
    tracked = [
        one["Properties"]["TargetTrackingConfiguration"]
        for one in resources.values()
        if one["Type"] == "AWS::AutoScaling::ScalingPolicy"
    ]
    assert tracked[0]["PredefinedMetricSpecification"] == {
        "PredefinedMetricType": "ASGAverageCPUUtilization"
    }
    metric = tracked[1]["CustomizedMetricSpecification"]
    assert metric["Namespace"] == {"Fn::Join": ["/", ["rts", STACK]]}
    assert metric["MetricName"] in emf.BY_ENVIRONMENT
    assert metric["Dimensions"] == [
        {"Name": "Environment", "Value": {"Ref": "AWSEBEnvironmentName"}},
        {"Name": "Process", "Value": "web"},
    ]


def test_triggers_of_the_platform_never_fire() -> None:
    """CPU is never above 100 % nor below 0 %; increments of 0 may be refused."""
    options, _ = environment()
    trigger = options["aws:autoscaling:trigger"]
    assert trigger["MeasureName"] == "CPUUtilization"
    assert (trigger["UpperThreshold"], trigger["LowerThreshold"]) == (100, 0)
    increments = trigger["UpperBreachScaleIncrement"], trigger["LowerBreachScaleIncrement"]
    assert increments == (1, -1)


def test_the_alarm_on_the_balancer_goes_with_the_environment() -> None:
    """It watches the environment's own balancer, and publishes to the topic of the stack."""
    _, resources = environment()
    alarm = resources["BalancerErrors"]["Properties"]
    (dimension,) = alarm["Dimensions"]
    assert dimension["Value"] == {"Fn::GetAtt": ["AWSEBV2LoadBalancer", "LoadBalancerFullName"]}
    (topic,) = alarm["AlarmActions"]
    assert alarm["OKActions"] == [topic]
    pseudo = [{"Ref": f"AWS::{name}"} for name in ("Partition", "Region", "AccountId")]
    name = {"Fn::Join": ["-", [STACK, "alarms"]]}
    assert topic == {"Fn::Join": [":", ["arn", pseudo[0], "sns", *pseudo[1:], name]]}
    assert of_type("SNS::Topic")["Alarms"]["TopicName"] == {"Fn::Sub": "${AWS::StackName}-alarms"}


def test_resources_use_only_functions_that_beanstalk_knows() -> None:
    """Ref, Fn::GetAtt, Fn::Join and Fn::GetOptionSetting (ebextensions-functions)."""
    _, resources = environment()
    used = set(re.findall(r"'(Fn::\w+)'", repr(resources)))
    assert used <= {"Fn::GetAtt", "Fn::Join", "Fn::GetOptionSetting"}


def test_resources_are_valid_in_the_template_of_the_environment() -> None:
    """Beanstalk merges them into a CloudFormation template: cfn-lint has nothing to say."""
    _, resources = environment()
    group: dict[str, Any] = {
        "MinSize": "2",
        "MaxSize": "8",
        "VPCZoneIdentifier": ["subnet-12345678"],
        "LaunchTemplate": {"LaunchTemplateId": "lt-12345678", "Version": "1"},
    }
    balancer = {"Subnets": ["subnet-12345678", "subnet-87654321"]}
    own: dict[str, Any] = {
        "AWSEBAutoScalingGroup": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": group,
        },
        "AWSEBV2LoadBalancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": balancer,
        },
    }
    option = re.compile(r'\{"Fn::GetOptionSetting": \{[^}]*"DefaultValue": ("\w+")\}\}')
    merged: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": {"AWSEBEnvironmentName": {"Type": "String"}},
        "Resources": own | json.loads(option.sub(r"\1", json.dumps(resources))),
    }
    assert "GetOptionSetting" not in json.dumps(merged)
    found = lint(json.dumps(merged), regions=["eu-west-1"])
    assert [str(match) for match in found] == []
    merged["Resources"]["BalancerErrors"]["Properties"]["Periode"] = 60
    assert lint(json.dumps(merged), regions=["eu-west-1"])


def files() -> dict[str, dict[str, str]]:
    """The files that `.ebextensions` writes, by path; functions are `?`."""
    parsed = yaml.safe_load((ROOT / ".ebextensions" / "03-agent.config").read_text())
    return {
        path: file | {"content": re.sub("`.*?`", "?", file["content"])}
        for path, file in parsed["files"].items()
    }


def test_instances_watch_what_auto_scaling_intends() -> None:
    """By the link-local address of the metadata service, which needs no name server."""
    options, _ = environment()
    given = options["aws:elasticbeanstalk:application:environment"]
    assert given["RTS_INSTANCE_METADATA"] == "http://169.254.169.254"


def test_processes_know_their_environment() -> None:
    """The file that their units read has the name of the environment they run in."""
    file = files()["/etc/rts/environment"]
    assert (file["content"], file["mode"]) == ("RTS_ENVIRONMENT=?\n", "000644")
    hook = (ROOT / ".platform" / "hooks" / "prebuild" / "10_units.sh").read_text()
    assert "EnvironmentFile=-/etc/rts/environment" in hook


def agent() -> dict[str, Any]:
    """The CloudWatch agent's configuration for logs, with `?` for CloudFormation functions."""
    text = files()["/opt/aws/amazon-cloudwatch-agent/etc/rts.json"]["content"]
    logs: dict[str, Any] = json.loads(text)["logs"]
    return logs


def test_the_agent_listens_where_processes_send_metrics() -> None:
    """The agent's configuration and the processes' environment have the same address."""
    options, _ = environment()
    address = agent()["metrics_collected"]["emf"]["service_address"]
    assert options["aws:elasticbeanstalk:application:environment"]["RTS_EMF_AGENT"] == address


def test_log_lines_of_every_process_are_streamed() -> None:
    """The platform streams those of web, the agent the others, with the same retention."""
    options, _ = environment()
    files = agent()["logs_collected"]["files"]["collect_list"]
    lines = (ROOT / "Procfile").read_text().splitlines()
    others = {line.partition(":")[0] for line in lines} - {"web"}
    assert [one["file_path"] for one in files] == [f"/var/log/{one}.stdout.log" for one in others]
    days = options["aws:elasticbeanstalk:cloudwatch:logs"]["RetentionInDays"]
    assert {one["retention_in_days"] for one in files} == {days}
