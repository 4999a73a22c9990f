"""The keys of an Apsis configuration that this server has no use for: checked all the same.

A mistake in them is told where Apsis told it, so that one file may serve both. Called by
`settings`; what each key means here is told by `callsheetctl import apsis`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..jobs.errors import UserError
from ..jobs.reading import At, Fields, Told, filled, flag, many, shown, text
from ..jobs.times import parse_duration

# As Apsis's documentation calls keys that its code does not know.
DOCUMENTED = {"jobs": "job_dir", "jobdir": "job_dir"}
ECS_KEYS = (
    "cluster_name",
    "container_name",
    "default_task_definition",
    "region",
    "aws_account_id",
    "ebs_volume_role",
    "log_group",
    "log_stream_prefix",
    "default_mem_gb",
    "default_vcpu",
    "default_disk_gb",
)


def check_apsis_keys(fields: Fields) -> None:
    """Check `procstar`, `python` and `host_groups`; problems are recorded."""
    fields.take("procstar", _section(agent=_section(**_AGENT)), None)
    fields.take("python", _section(gc=_section(enabled=flag, threshold=many(_number))), None)
    fields.take("host_groups", _host_groups, None)


def unknown_keys(read: Sequence[Fields]) -> tuple[tuple[str, str], ...]:
    """Return the keys that mean nothing here, dotted, each with the known one it is much like, or
    empty."""
    found = {}
    for fields in read:
        where = [str(key) for key in fields.at.path]
        for key, near in fields.unknown().items():
            likely = near if where else DOCUMENTED.get(key, near)
            found[".".join([*where, key])] = ".".join([*where, likely]) if likely else ""
    return tuple(found.items())


def _section(**readers: Any) -> Any:
    """Return a reader of a mapping whose known keys are read so; others are ignored."""

    def read(value: Any, at: At) -> None:
        fields = Fields(value, at)
        before = len(at.problems)
        for key, reader in readers.items():
            fields.take(key, reader, None)
        if len(at.problems) > before:
            raise Told

    return read


def _positive(value: Any, at: At) -> None:
    found = parse_duration(value)
    if found < 0:
        at.problems.append((at.path, f"{_dotted(at)} has negative duration: {value}"))
        raise Told
    if found == 0:
        raise UserError("is 0: expected a duration of more")


def _port(value: Any, _at: At) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65_535:
        raise UserError(f"{shown(value)}: expected a port")


def _number(value: Any, _at: At) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{shown(value)}: expected a number")


def _gigabytes(value: Any, at: At) -> None:
    _number(value, at)
    if value <= 0:
        raise UserError(f"{value}: expected more than 0")


def _host_groups(value: Any, at: At) -> None:
    fields = Fields(value, at)
    before = len(at.problems)
    for name in fields.data:
        fields.take(name, _host_group)
    if len(at.problems) > before:
        raise Told


def _host_group(value: Any, at: At) -> None:
    many(filled)(value.get("hosts") if isinstance(value, Mapping) else value, at)


def _ecs(value: Any, at: At) -> None:
    fields = Fields(value, at)
    missing = [key for key in ECS_KEYS if fields.data.get(key) is None]
    for key in ECS_KEYS:
        fields.take(key, _anything, None)
    for key, reader in (("max_mem_gb", _gigabytes), ("max_vcpu", _gigabytes)):
        fields.take(key, reader, None)
    fields.take("retain_ebs", flag, None)
    if missing:
        raise UserError(f"missing keys: {', '.join(missing)}")


def _anything(_value: Any, _at: At) -> None:
    return


def _dotted(at: At) -> str:
    return ".".join(map(str, at.path))


_AGENT: dict[str, Any] = {
    "enable": flag,
    "server": _section(
        host=text,
        port=_port,
        access_token=text,
        tls=_section(cert_path=filled, key_path=filled),
        # Where an example of Apsis's documentation has it.
        reconnect_timeout=_positive,
    ),
    "connection": _section(start_timeout=_positive, reconnect_timeout=_positive),
    "run": _section(update_interval=_positive, output_interval=_positive),
    "sudo": _section(argv=many(filled)),
    "resource_defaults": _section(mem_max_gb=_gigabytes),
    "ecs": _ecs,
}
