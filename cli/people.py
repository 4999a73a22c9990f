"""`callsheet`: the commands of people, who look at jobs and runs and act on them."""

from __future__ import annotations

import click

from .lazy import LazyGroup, guarded
from .local_times import time_options

TABLE = {
    "completion": ("completion:completion", "Print the completion script of a shell."),
    "adhoc": ("run_commands:adhoc", "Run a command once, without a job file."),
    "apply": ("planning_commands:apply", "Carry out a plan, if it still holds."),
    "backfill": ("backfill_commands:backfill", "Run a job for times that are over."),
    "agent": ("agent_host_commands:here", "Start an agent on this host, and look after it."),
    "agents": ("look_commands:agents", "List the agents."),
    "check": ("folder_commands:check", "Check a folder of job files."),
    "checks": ("check_command:checks", "Show what the sanity checker has found; check now."),
    "create": ("folder_commands:create", "Create a database."),
    "demo": ("demo:demo", "Run a server with a folder of demonstration jobs."),
    "forecast": ("planning_commands:forecast", "Say which runs the schedules name."),
    "hold": ("run_commands:hold", "Hold scheduled or waiting runs."),
    "job": ("look_commands:job", "Show a job."),
    "jobs": ("look_commands:jobs", "List the jobs."),
    "kill": ("run_commands:kill", "Kill the processes of runs at once."),
    "mark": ("run_commands:mark", "Force finished runs into another finished state."),
    "new-job": ("new_job:new_job", "Write a job file to begin with."),
    "operations": ("many_runs:operations", "What became of operations on many runs."),
    "output": ("follow_commands:output", "Print the output of a run."),
    "pause": ("pause_commands:pause", "Skip what schedules make, until it is resumed."),
    "pauses": ("pause_commands:pauses", "List what is paused."),
    "plan": ("planning_commands:plan", "Say what a changed job folder would change."),
    "release": ("run_commands:release", "Release held runs."),
    "reload": ("folder_commands:reload_jobs", "Read the job folder again."),
    "reschedule": ("run_commands:reschedule", "Put runs to another time."),
    "rerun": ("run_commands:rerun", "Run again what runs ran."),
    "resume": ("pause_commands:resume", "End a pause."),
    "run": ("look_commands:run", "Show runs."),
    "runs": ("runs_command:runs", "List runs."),
    "schedule": ("run_commands:schedule", "Schedule a run of a job."),
    "serve": ("serve_command:serve_command", "Run a server in the foreground."),
    "signal": ("run_commands:send_signal", "Send a signal to the processes of runs."),
    "skip": ("run_commands:skip", "Skip scheduled or waiting runs."),
    "start": ("run_commands:start", "Start scheduled or waiting runs now."),
    "stop": ("run_commands:stop", "Stop running runs."),
    "why": ("why_command:why", "Explain a run, or why there is none for a time."),
    "watch": ("follow_commands:watch", "Follow a run, the runs of a query, or all."),
}


@click.command(
    cls=LazyGroup,
    table=TABLE,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CALLSHEET"},
)
@click.option(
    "--host",
    "--server",
    "host",
    help="The server, as HOST, HOST:PORT, https://HOST or unix:PATH (default: $CALLSHEET_HOST).",
)
@click.option("--port", type=int, help="The server's port.")
@time_options
@click.option(
    "--log-level", "--log", hidden=True, expose_value=False, help="Accepted for Apsis's sake."
)
@click.version_option(package_name="callsheet")
@click.pass_context
def group(ctx: click.Context, host: str | None, port: int | None) -> None:
    """See what runs, why it waits, and act on it."""
    ctx.obj = (host, port)


def main() -> None:
    """Run the command line."""
    guarded(group)


if __name__ == "__main__":
    main()
