"""A program that tells a notification service, by the library for all of them.

Started by the responder for each notification: the library is large, and what it does in detail is
not ours. Reads `{url, title, body}` from its standard input, answers `{sent}` and ends. It says
nothing else: messages of the library may hold the URL, which is a secret.
"""

from __future__ import annotations

import json
import logging
import sys


def main() -> None:
    """Send one notification."""
    question = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)
    import apprise

    services = apprise.Apprise()
    known = bool(services.add(question["url"]))
    sent = known and bool(services.notify(title=question["title"], body=question["body"]))
    json.dump({"known": known, "sent": sent}, sys.stdout)


if __name__ == "__main__":
    main()
