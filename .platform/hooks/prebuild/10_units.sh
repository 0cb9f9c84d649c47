#!/usr/bin/env bash
# systemd drop-ins of the Procfile's processes: a file per socket, time for a drain and, where
# RTS_WEB_ROLE_ARN and RTS_RELAY_ROLE_ARN are given (outputs of infra/template.yaml), a role each.
# Under /usr/lib: each deployment, of a version or of a property, deletes the folders of the same
# name under /etc/systemd/system before it starts the processes.
set -euo pipefail

root="${RTS_ROOT:-}"
profiles="/etc/rts/aws.config"
units="$root/usr/lib/systemd/system"
new="$root$profiles.new"

declare -A role=([web]="${RTS_WEB_ROLE_ARN:-}" [relay]="${RTS_RELAY_ROLE_ARN:-}")
# Read by the user of the processes, whatever umask the platform has.
umask 022
mkdir -p "$root/etc/rts"
chmod 755 "$root/etc/rts"
: >"$new"

for process in web relay; do
  mkdir -p "$units/$process.service.d"
  {
    # Units stop in the reverse order: nginx carries the sockets until web has drained.
    if [ "$process" = web ]; then
      printf '[Unit]\nAfter=nginx.service\n'
    fi
    echo "[Service]"
    echo "LimitNOFILE=131072"
    echo "TimeoutStopSec=75"
    # Of .ebextensions/03-agent.config.
    echo "EnvironmentFile=-/etc/rts/environment"
    if [ -n "${role[$process]}" ]; then
      echo "Environment=AWS_CONFIG_FILE=$profiles AWS_PROFILE=$process"
      printf '[profile %s]\nrole_arn = %s\ncredential_source = Ec2InstanceMetadata\n' \
        "$process" "${role[$process]}" >>"$new"
    fi
  } >"$units/$process.service.d/rts.conf"
done

# Renamed, not rewritten: a running process reads it whenever its credentials end.
chmod 644 "$new"
mv "$new" "$root$profiles"

# The unit of the package kills nginx after 5 s; a drain takes longer.
mkdir -p "$units/nginx.service.d"
printf '[Service]\nTimeoutStopSec=90\n' >"$units/nginx.service.d/rts.conf"

if [ -z "$root" ]; then
  systemctl daemon-reload
fi
