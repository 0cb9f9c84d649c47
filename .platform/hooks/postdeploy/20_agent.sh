#!/usr/bin/env bash
# The CloudWatch agent takes the processes' metrics over UDP and streams the relay's log.
# After the deployment: the platform fetches its own configuration of the agent during it, which
# replaces what was appended before.
set -euo pipefail

agent="${RTS_ROOT:-}/opt/aws/amazon-cloudwatch-agent"
"$agent/bin/amazon-cloudwatch-agent-ctl" -a append-config -m ec2 -s -c "file:$agent/etc/rts.json"
