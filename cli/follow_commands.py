"""The commands that follow a run while it lives: its output, its log."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import click

from .lazy import offering
from .local_times import local
from .seen import some_lines
from .shown import OVER, client, is_run_id, print_json, print_table, state_word
from .sources import ARCHIVE, join_terms, source


@click.command()
@click.argument("run_id", shell_complete=offering("runs"))
@click.option("-f", "--follow", is_flag=True, help="Print it from the start, and what comes.")
@click.option("-F", "--follow-new", is_flag=True, help="Print only what comes from now on.")
@click.option("--output-id", default="output", show_default=True, help="Which output.")
@click.option("--stdout", "output_id", flag_value="stdout", help="Only stdout, of split streams.")
@click.option("--stderr", "output_id", flag_value="stderr", help="Only stderr, of split streams.")
@click.option("-l", "--list", "list_them", is_flag=True, help="List outputs and artifacts.")
@click.option("-o", "--to", type=click.File("wb", lazy=True), default="-", help="Where to write.")
@click.option(
    "--zip",
    "to_zip",
    type=click.File("wb", lazy=True),
    metavar="FILE",
    help="Write all outputs and artifacts, of all attempts, into this zip; - for standard output.",
)
@click.option("--json", "as_json", is_flag=True, help="List them as JSON.")
@ARCHIVE
@click.pass_context
def output(
    ctx: click.Context,
    run_id: str,
    *,
    follow: bool,
    follow_new: bool,
    output_id: str,
    list_them: bool,
    to: Any,
    to_zip: Any,
    as_json: bool,
    archive: str | None,
) -> None:
    """Print an output of a run, as its bytes; list what there is, or fetch it all as a zip."""
    if archive is not None and to_zip is not None:
        raise click.UsageError("--zip: a server makes it: expected no --archive")
    server = source(ctx, archive)
    if archive is not None and (follow or follow_new):
        raise click.UsageError("--archive: what is archived does not grow: expected no --follow")
    if to_zip is not None:
        to_zip.write(server.get_outputs_zip(run_id))
        return
    if list_them or as_json:
        _list(server.get(f"/api/v2/runs/{run_id}")["run"]["outputs"], as_json=as_json)
        return
    if not follow and not follow_new:
        to.write(server.get_output(run_id, output_id))
        return
    server.get_run(run_id)

    async def copy() -> None:
        updates = server.get_output_data_updates(run_id, output_id, start=None if follow_new else 0)
        async with contextlib.aclosing(updates) as pieces:
            async for piece in pieces:
                to.write(piece)
                to.flush()

    asyncio.run(copy())


def _list(outputs: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(outputs)
        return
    rows = []
    for one in outputs:
        gap = one.get("left_out")
        some = "a part left out" if one["truncated"] else ""
        said = f"{gap[1] - gap[0]:,} bytes left out" if gap else some
        rows.append(
            [one["output_id"], str(one["attempt"]), f"{one['length']:,}", one["name"], said]
        )
    print_table(["output", "attempt", "bytes", "name", ""], rows)


@click.command()
@click.argument("what", nargs=-1, metavar="[RUN | QUERY...]", shell_complete=offering("terms"))
@click.option(
    "--finish/--no-finish",
    default=None,
    help="End when all is finished (for a RUN the default), or go on until Ctrl-C.",
)
@click.option("-s", "--silent", is_flag=True, help="Print nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the updates as JSON.")
@click.pass_context
def watch(
    ctx: click.Context, what: tuple[str, ...], finish: bool | None, silent: bool, as_json: bool
) -> None:
    """Follow a run, the runs that QUERY means, or all; exit 0 when what finished succeeded, else 1.

    Of a RUN the lines of its log are printed as they come, of a query a line for each change.
    """
    server = client(ctx)
    if len(what) == 1 and is_run_id(what[0]):
        succeeded = _watch_run(
            server, what[0], finish=finish is not False, silent=silent, as_json=as_json
        )
    else:
        from .follow_runs import follow_runs

        succeeded = follow_runs(
            server, join_terms(what), finish=bool(finish), silent=silent, as_json=as_json
        )
    ctx.exit(0 if succeeded else 1)


def _watch_run(server: Any, run_id: str, *, finish: bool, silent: bool, as_json: bool) -> bool:
    server.get_run(run_id)

    async def follow() -> str:
        state = ""
        async with contextlib.aclosing(server.get_run_updates(run_id, init=True)) as updates:
            async for update in updates:
                state = update.get("run", {}).get("state", state)
                if as_json:
                    print_json(update)
                elif not silent:
                    _print_update(update)
                if finish and state in OVER:
                    break
        return state

    state = asyncio.run(follow())
    if not silent and not as_json:
        click.echo(f"{run_id}  {state_word(state)}")
    return state == "success"


def _print_update(update: dict[str, Any]) -> None:
    lines = list(update.get("run_log", []))
    if "run_log_append" in update:
        lines.append(update["run_log_append"])
    for line in lines:
        click.echo(f"{local(line['timestamp'])}  {some_lines(line['message'])}")
