"""Programs that use the clients are checked strictly, and wrong ones are found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("jobs", "messages", "client")
WRONG = {
    "client.get_run(7)": 'Argument 1 has incompatible type "int"; expected "str"',
    "client.get_run()": "Too few arguments",
    'client.get_jobs(lable="x")': 'Unexpected keyword argument "lable"',
    'size: str = client.get_output("r1")': 'expression has type "bytes"',
    'done: int = client.start("r1")': 'expression has type "None"',
    'runs: int = asynchronous.get_run("r1")': 'expression has type "Awaitable[dict[str, Any]]"',
    "for _ in client.follow(1): pass": 'Argument 1 to "follow" of "Surface" has incompatible type',
    "client.surely_not()": '"Client" has no attribute "surely_not"',
}  # fmt: skip


@pytest.mark.slow
def test_the_example_is_right_and_each_wrong_use_is_found(tmp_path):
    package = tmp_path / "typing" / "callsheet"
    package.mkdir(parents=True)
    for name in ("__init__.py", "py.typed", *ROOMS):
        (package / name).symlink_to(ROOT / name)
    wrong = tmp_path / "wrong.py"
    head = [
        "from callsheet.client import AsyncClient, Client",
        "client, asynchronous = Client(), AsyncClient()",
    ]
    wrong.write_text("\n".join([*head, *WRONG]) + "\n")
    right = ROOT / "examples" / "client" / "watch.py"
    checked = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
            "--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(right), str(wrong),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={"MYPYPATH": str(tmp_path / "typing"), "PATH": ""},
        cwd=tmp_path,
    )  # fmt: skip
    lines = checked.stdout.splitlines()
    errors = {line.split(":")[1]: line for line in lines if ": error: " in line}
    for number, (use, said) in enumerate(WRONG.items(), len(head) + 1):
        assert said in errors.pop(str(number), ""), f"{use}: {checked.stdout}"
    assert errors == {}
