"""`.ebextensions` agrees with the settings."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from rts_server import emf
from rts_server.config import Settings
from tests.deployment.platform import ROOT


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
    assert process["DeregistrationDelay"] >= settings.drain_spread + 10
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


def test_the_process_listens_where_nginx_connects() -> None:
    """Host and port in the environment are those of `.platform`."""
    options, _ = environment()
    given = options["aws:elasticbeanstalk:application:environment"]
    ours = (ROOT / ".platform/nginx/conf.d/elasticbeanstalk/rts.conf").read_text()
    assert f"proxy_pass            http://{given['RTS_HOST']}:{given['RTS_PORT']};" in ours


def test_scaling_tracks_cpu_and_connections() -> None:
    """Two target-tracking policies scale from two instances; the platform's triggers are off."""
    options, resources = environment()
    group, trigger = options["aws:autoscaling:asg"], options["aws:autoscaling:trigger"]
    assert 2 <= group["MinSize"] < group["MaxSize"]
    assert trigger["UpperBreachScaleIncrement"] == trigger["LowerBreachScaleIncrement"] == 0
    tracked = [one["Properties"]["TargetTrackingConfiguration"] for one in resources.values()]
    assert tracked[0]["PredefinedMetricSpecification"] == {
        "PredefinedMetricType": "ASGAverageCPUUtilization"
    }
    metric = tracked[1]["CustomizedMetricSpecification"]
    assert metric["Namespace"] == Settings().emf_namespace
    assert metric["MetricName"] in [told.name for told in emf.METRICS_BY_PROCESS["web"]]
    assert metric["Dimensions"] == [{"Name": "Process", "Value": "web"}]


def agent() -> dict[str, Any]:
    """The CloudWatch agent's configuration for logs, with `?` for CloudFormation functions."""
    parsed = yaml.safe_load((ROOT / ".ebextensions" / "03-agent.config").read_text())
    (file,) = parsed["files"].values()
    logs: dict[str, Any] = json.loads(re.sub("`.*?`", "?", file["content"]))["logs"]
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
