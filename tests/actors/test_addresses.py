"""Requests go to public addresses or to those the settings list, however a host is written."""

from __future__ import annotations

import ipaddress

import pytest

from callsheet.actors.addresses import AddressRefused, NotResolved, choose, resolve
from callsheet.conf.action_settings import WebhookSettings

NOTHING = WebhookSettings()

REFUSED = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "169.254.169.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "not an address",
]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address):
    with pytest.raises(AddressRefused, match="expected a public address"):
        choose("inner", 80, NOTHING, lambda host, port: [address])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_what_is_public_is_taken(address):
    assert choose("x.org", 80, NOTHING, lambda host, port: [address]) == address


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "0177.0.0.1", "127.1", "::1", "0"])
def test_a_host_written_in_another_way_is_judged_by_where_it_leads(host):
    with pytest.raises((AddressRefused, NotResolved)):
        choose(host, 80, NOTHING)


def test_0x7f_1_does_resolve_and_is_refused_for_where_it_leads():
    assert resolve("0x7f.1", 80) == ["127.0.0.1"]
    with pytest.raises(AddressRefused, match=r"leads to 127\.0\.0\.1"):
        choose("0x7f.1", 80, NOTHING)


def test_of_several_addresses_only_an_allowed_one_is_taken():
    found = choose("x.org", 80, NOTHING, lambda host, port: ["10.0.0.1", "93.184.216.34"])
    assert found == "93.184.216.34"


def test_hosts_and_networks_of_the_settings_are_allowed():
    hosts = WebhookSettings(allow_hosts=frozenset({"inner"}))
    assert choose("INNER", 80, hosts, lambda host, port: ["10.0.0.1"]) == "10.0.0.1"
    with pytest.raises(AddressRefused):
        choose("inner.evil.org", 80, hosts, lambda host, port: ["10.0.0.1"])
    networks = WebhookSettings(allow_networks=(ipaddress.ip_network("10.1.0.0/16"),))
    assert choose("x", 80, networks, lambda host, port: ["10.1.2.3"]) == "10.1.2.3"
    assert choose("x", 80, networks, lambda host, port: ["::ffff:10.1.2.3"]) == "::ffff:10.1.2.3"
    with pytest.raises(AddressRefused):
        choose("x", 80, networks, lambda host, port: ["10.2.0.1"])


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300, "xn--\udcff"])
def test_a_host_without_an_address_is_told(host):
    with pytest.raises(NotResolved):
        choose(host, 80, NOTHING)


def test_a_host_that_resolves_to_nothing_is_told():
    with pytest.raises(NotResolved, match="has no address"):
        choose("x", 80, WebhookSettings(allow_hosts=frozenset({"x"})), lambda host, port: [])
