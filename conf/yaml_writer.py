"""Plain values to YAML text that people can go on with: for job files made by tools.

What `yaml_reader` makes of the text is the value again; strings that YAML 1.1 or 1.2 might take for
something else are quoted, longer texts stand in blocks.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*\Z")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def write_yaml(value: Any) -> str:
    """Return a value (mappings, lists, strings, numbers, flags, None) as YAML, keys in order."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=10_000,
    )


class _Dumper(yaml.SafeDumper):
    """Lists are set in from their keys; no value is written as an alias of another."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """See PyYAML."""
        del indentless
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        """See PyYAML."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # What cannot be seen is written with backslashes.
    style: str | None = "'" if value.isprintable() else '"'
    if "\n" in value and value.isprintable() is False and _block_fits(value):
        style = "|"
    elif _PLAIN.match(value) and value.lower() not in _WORDS:
        style = None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _block_fits(value: str) -> bool:
    """Whether a text can stand in a block as it is."""
    lines = value.split("\n")
    return all(line.isprintable() for line in lines) and not lines[0].startswith(" ")


_Dumper.add_representer(str, _text)
