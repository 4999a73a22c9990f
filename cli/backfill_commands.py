"""The commands that make up for the past: begin a backfill, list, show and stop them."""

from __future__ import annotations

from typing import Any

import click

from .lazy import offering
from .local_times import local
from .run_commands import args_of
from .shown import FORMAT, args_text, client, print_as, print_table, warn

# In the order in which a run comes by them.
COUNTED = (
    "pending", "scheduled", "waiting", "starting", "running", "stopping",
    "success", "failure", "error", "lost", "skipped",
)  # fmt: skip


class _Backfill(click.Group):
    """`backfill JOB …` begins one: what is none of its commands is a job."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group`."""
        if args and args[0] not in self.commands:
            return "begin", begin, args
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Group`; options before the job are those of a backfill that begins."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["begin", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Backfill, subcommand_metavar="JOB [NAME=VALUE]… | COMMAND")
def backfill() -> None:
    """Run a job for times that are over: backfill JOB --from TIME [--to TIME].

    All that the job's enabled schedules name in that time, as they are now, and that has no run;
    see `backfill begin --help`. The others list, show and stop backfills.
    """


@backfill.command()
@click.argument("job", shell_complete=offering("jobs"))
@click.argument("args", nargs=-1, metavar="[NAME=VALUE]…")
@click.option("--from", "begin_", required=True, help="From this time: a date, -7d, a time.")
@click.option("--to", "end", default="now", show_default=True, help="To before this time.")
@click.option("-n", "--parallel", type=click.IntRange(1), default=1, show_default=True)
@click.option("--newest-first", is_flag=True, help="Begin with the latest times.")
@click.option("--again", is_flag=True, help="Also for times that have a run already.")
@click.option("--dry-run", is_flag=True, help="Only list the runs.")
@FORMAT
@click.pass_context
def begin(
    ctx: click.Context,
    job: str,
    args: tuple[str, ...],
    begin_: str,
    end: str,
    parallel: int,
    newest_first: bool,
    again: bool,
    dry_run: bool,
    form: str,
) -> None:
    """Begin a backfill: at most --parallel runs at once, those with these args alone."""
    body: dict[str, Any] = {
        "args": args_of(args),
        "parallel": parallel,
        "order": "newest" if newest_first else "oldest",
        "again": again,
    }
    if not dry_run:
        _print_one(client(ctx).backfill(job, begin_, end, **body), form)
        return
    found = client(ctx).backfill_runs(job, begin_, end, **body)
    if print_as(form, found):
        return
    rows = [
        [local(one["schedule_time"]), one["job_id"], args_text(one["args"])]
        for one in found["runs"]
    ]
    print_table(["time", "job_id", "args"], rows)
    warn(f"{len(rows)} runs; {found['left_out']} that have a run are left out")


@backfill.command("list")
@FORMAT
@click.pass_context
def list_(ctx: click.Context, form: str) -> None:
    """List the backfills, the newest first."""
    found = client(ctx).backfills()
    if print_as(form, found):
        return
    head = ["backfill", "job_id", "from", "to", "state", "runs", "done"]
    rows = [
        [
            one["backfill_id"], one["job_id"], local(one["from"]), local(one["to"]),
            one["state"], str(one["total"]), str(_done(one)),
        ]
        for one in found
    ]  # fmt: skip
    print_table(head, rows)


@backfill.command()
@click.argument("backfill_id")
@FORMAT
@click.pass_context
def show(ctx: click.Context, backfill_id: str, form: str) -> None:
    """Show how far a backfill is. Its runs: callsheet runs backfill:b1."""
    _print_one(client(ctx).get_backfill(backfill_id), form)


@backfill.command()
@click.argument("backfill_id")
@click.option("-r", "--reason", default="", help="Why, for those who wonder.")
@FORMAT
@click.pass_context
def stop(ctx: click.Context, backfill_id: str, reason: str, form: str) -> None:
    """Withdraw the runs of a backfill that have not begun; those that have go on."""
    _print_one(client(ctx).stop_backfill(backfill_id, reason), form)


def _done(one: dict[str, Any]) -> int:
    counts: dict[str, int] = one["counts"]
    return sum(counts.get(state, 0) for state in COUNTED[6:])


def _print_one(one: dict[str, Any], form: str) -> None:
    if print_as(form, one):
        return
    args = f" ({args_text(one['args'])})" if one["args"] else ""
    lines = [
        f"{one['backfill_id']}: {one['job_id']}{args}: {one['state']}",
        f"  times     {local(one['from'])} to {local(one['to'])}, {one['order']} first",
        f"  begun     {local(one['begun'])} by {one['by']}, {one['parallel']} at once",
        f"  runs      {one['total']}, {one['left_out']} left out that had a run",
    ]
    counts = [f"{one['counts'][word]} {word}" for word in COUNTED if one["counts"].get(word)]
    counts += [f"{one['withdrawn']} withdrawn"] if one["withdrawn"] else []
    lines.append(f"  progress  {', '.join(counts)}")
    if one["stopped"]:
        why = f": {one['reason']}" if one["reason"] else ""
        lines.append(f"  stopped   {local(one['stopped'])} by {one['stopped_by']}{why}")
    if one["ended"]:
        lines.append(f"  ended     {local(one['ended'])}")
    click.echo("\n".join(lines))
