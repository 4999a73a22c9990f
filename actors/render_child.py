"""A program that fills in templates, under limits: other people's templates may be bombs.

Started by the responder for each action whose texts are more than names. Reads `{texts, names,
results}` from its standard input, answers `{texts}` or `{error}`, and ends. The kernel ends it
when it takes more processor time or memory than it may.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from ..jobs.errors import UserError
from ..jobs.results import GivenResults
from ..jobs.templates import expand

CPU_S = 2
MEMORY_BYTES = 2**30


def main() -> None:
    """Answer one question."""
    question = json.load(sys.stdin)
    # The time its own imports have taken does not count.
    used_s = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used_s + CPU_S, used_s + CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer: dict[str, Any]
    try:
        more = {"results": GivenResults(question.get("results", {}))}
        texts = [expand(text, question["names"], more, {}) for text in question["texts"]]
        answer = {"texts": texts}
    except UserError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "template: took more memory than allowed"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
