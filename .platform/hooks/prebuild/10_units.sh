#!/usr/bin/env bash
# systemd drop-ins of the Procfile's processes: a file per socket, time for a drain, a web process per
# core and, where RTS_WEB_ROLE_ARN and RTS_RELAY_ROLE_ARN are given (outputs of infra/template.yaml),
# a role each; and the upstream by which nginx reaches the web processes.
# Under /usr/lib: each deployment, of a version or of a property, deletes the folders of the same
# name under /etc/systemd/system before it starts the processes.
set -euo pipefail

root="${RTS_ROOT:-}"
profiles="/etc/rts/aws.config"
units="$root/usr/lib/systemd/system"
new="$root$profiles.new"
web_processes="${RTS_WEB_PROCESSES:-$(nproc)}"

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
    variables="RTS_WEB_PROCESSES=$web_processes"
    if [ -n "${role[$process]}" ]; then
      variables="$variables AWS_CONFIG_FILE=$profiles AWS_PROFILE=$process"
      printf '[profile %s]\nrole_arn = %s\ncredential_source = Ec2InstanceMetadata\n' \
        "$process" "${role[$process]}" >>"$new"
    fi
    echo "Environment=$variables"
  } >"$units/$process.service.d/rts.conf"
done

# Renamed, not rewritten: a running process reads it whenever its credentials end.
chmod 644 "$new"
mv "$new" "$root$profiles"

# .platform/nginx/nginx.conf includes it. A process that drains answers handshakes with 503, which
# must not count as a failure: nginx would leave it out for 10 s, also after its restart.
{
  printf 'upstream rts_web {\n    zone rts_web 64k;\n    least_conn;\n'
  for ((n = 0; n < web_processes; n++)); do
    printf '    server 127.0.0.1:%d max_fails=0;\n' $((8000 + n))
  done
  printf '}\n'
  # A polling client has its session in one process, whose port ends the session's id.
  # shellcheck disable=SC2016
  printf 'map $arg_sid $rts_process {\n    default rts_web;\n'
  for ((n = 0; n < web_processes; n++)); do
    printf '    "~\.%d$" 127.0.0.1:%d;\n' $((8000 + n)) $((8000 + n))
  done
  printf '}\n'
} >"$root/etc/rts/upstream.conf"
chmod 644 "$root/etc/rts/upstream.conf"

# The unit of the package kills nginx after 5 s; a drain takes longer.
mkdir -p "$units/nginx.service.d"
printf '[Service]\nTimeoutStopSec=90\n' >"$units/nginx.service.d/rts.conf"

if [ -z "$root" ]; then
  systemctl daemon-reload
fi
