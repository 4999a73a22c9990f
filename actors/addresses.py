"""Where requests of ours may go: a name is resolved once, its addresses are judged, and the
connection is made to the one that was judged.

What is not on the public internet is refused unless the settings list it: a job file must not reach
the server's own network, nor the metadata service of a cloud. No check looks at how a host is
written (`0x7f.1`, `[::1]`), only at what it resolves to.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from ..conf.action_settings import WebhookSettings
from ..jobs.errors import UserError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Returns the addresses of a host as text, in the order to be tried.
Resolve = Callable[[str, int], list[str]]

# Prefixes under which an IPv6 address carries an IPv4 one that the way there unpacks.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotResolved(UserError):
    """A host has no address now; it may have one later."""


class AddressRefused(UserError):
    """A host leads where requests may not go."""


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system has them.

    Raises:
        NotResolved: it has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "is not the name of a host"
        raise NotResolved(f"{host}: {what}") from None
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def choose(host: str, port: int, settings: WebhookSettings, look_up: Resolve = resolve) -> str:
    """Return the address to connect to.

    Raises:
        NotResolved: the host has no address.
        AddressRefused: none of its addresses is public or listed.
    """
    found = look_up(host, port)
    if host.strip("[]").lower() in settings.allow_hosts and found:
        return found[0]
    for text in found:
        if _may_go(text, settings):
            return text
    if not found:
        raise NotResolved(f"{host}: has no address")
    raise AddressRefused(
        f"{host}: leads to {', '.join(found)}: expected a public address, or one that "
        "webhooks.allow_hosts or webhooks.allow_networks lists"
    )


def _may_go(text: str, settings: WebhookSettings) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    meant = _meant(address)
    return all(
        (one.is_global and not one.is_multicast)
        or any(one in network for network in settings.allow_networks)
        for one in meant
    )


def _meant(address: Address) -> list[Address]:
    """Return what an address leads to: itself, and any IPv4 address that is wrapped in it."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inside: list[Address | None] = [address.sixtofour]
    if address.teredo is not None:
        inside += address.teredo
    if address in _NAT64:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [address, *(one for one in inside if one is not None)]
