"""A click group whose commands are imported only when they are called or asked about.

A command of a person should answer in less time than it takes to notice; most of what a Python
program costs is its imports.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import click


class LazyGroup(click.Group):
    """`table` maps a command's name to its `module:attribute` (in this package) and its help."""

    def __init__(self, *args: Any, table: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, sorted."""
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None when there is none of this name."""
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(f".{module}", __package__), attribute)
        assert isinstance(found, click.Command), f"{cmd_name}: {module}:{attribute} is no command"
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their one-line helps, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._table[name][1]) for name in sorted(self._table)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Offer commands and the group's own options, without importing the commands."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=help_)
            for name, (_, help_) in sorted(self._table.items())
            if name.startswith(incomplete)
        ]
        return found + super(click.Group, self).shell_complete(ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; name the nearest one when there is none."""
        if args and args[0] not in self._table:
            import difflib

            near = difflib.get_close_matches(args[0], self._table, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"no such command: {args[0]}.{hint}")
        return super().resolve_command(ctx, args)


def offering(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Return the completion of that name in `completion`, which is imported when it is asked."""

    def offer(ctx: click.Context, param: click.Parameter, begun: str) -> list[Any]:
        from . import completion

        found: list[Any] = getattr(completion, what)(ctx, param, begun)
        return found

    return offer


def guarded(run: Callable[[], Any]) -> None:
    """Run a program's group and turn what people may cause into a sentence and a status.

    Exit status 1 for an error of the server or of the input, 2 for wrong usage (click's own), 130
    for Ctrl-C.
    """
    import sys

    from ..client.http import APIError, NoServer
    from ..jobs.errors import CallsheetError

    if None in (sys.stdin, sys.stdout, sys.stderr):
        from ..wire.standard import open_standard

        open_standard()
    try:
        run()
    except APIError as error:
        print(f"Error: {error.error} [API status: {error.status}]", file=sys.stderr)
        for job_id, sentence in (error.jso or {}).get("job_errors", []):
            print(f"  {job_id}: {sentence}", file=sys.stderr)
        sys.exit(1)
    except (NoServer, CallsheetError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except UnicodeError as error:
        print(f"Error: what was typed or read is not UTF-8: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        # Of a file that a command has not looked at before it took it.
        print(f"Error: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
