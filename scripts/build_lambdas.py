"""The zips of the Lambda functions: `rts-server build-lambdas` of this checkout."""

from checkout import run_command

run_command("build-lambdas")
