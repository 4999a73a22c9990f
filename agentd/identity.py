"""Who this agentd is: what it says of itself, apart from what it keeps."""

from __future__ import annotations

import argparse
import os
import pwd
import secrets
import socket

from .. import __version__
from ..messages.agents import AGENT_VERSIONS, AgentHello
from . import procs


def identity(options: argparse.Namespace) -> AgentHello:
    """Return the introduction of an agent that is about to live."""
    try:
        username = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        username = str(os.geteuid())
    return AgentHello(
        agent_id=options.agent_id,
        group_id=options.group,
        version=AGENT_VERSIONS[-1],
        labels=options.labels,
        slots=options.slots,
        incarnation=secrets.token_hex(8),
        boot_id=procs.boot_id(),
        booted_us=procs.booted_us(),
        software=f"callsheet {__version__}",
        hostname=socket.gethostname(),
        username=username,
        pid=os.getpid(),
        uid=os.getuid(),
        gid=os.getgid(),
    )
