"""The console's page of agents: what they keep, and what people do to them."""

from __future__ import annotations

import secrets

import pytest
from agent_stand import lives, until
from far_agent import Far, agent, two_ports
from live_server import Server
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

JOBS = {
    "far/sleeps": "program: {type: procstar, argv: [sleep, '600'], group_id: far}\n",
}


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that lets agents of other hosts in."""
    port = two_ports()
    folder = tmp_path_factory.mktemp("agents")
    settings = f"agents:\n  listen: tcp://127.0.0.1:{port}\n  start_timeout: 60s\n"
    server = Server(folder, JOBS, settings)
    server.agents_port, server.far = port, None
    try:
        yield server.start()
    finally:
        if server.far is not None:
            server.far.close()
        server.stop()


@pytest.fixture
def w(server):
    """The name of the other host's agent, at work; another one if the last was told to leave."""
    last = server.far
    if last is not None:
        if not last.leaves and agent(server, last.name).get("state") == "active":
            server.post(f"/api/v2/agents/{last.name}/undrain")
            return last.name
        last.close()
        gone = (None, "away")
        until(lambda: agent(server, last.name).get("state") in gone, f"{last.name} to be away")
    name = f"w{secrets.token_hex(3)}"
    far = server.far = Far(server, server.folder / name, server.agents_port)
    far.name, far.leaves = name, False
    far.token("--group", "far")
    far.start("--token-file", str(far.folder / "token"), "--agent-id", name, "--label", "big")
    until(lambda: agent(server, name).get("state") == "active", f"{name} to come")
    return name


def row(page, agent_id):
    return page.locator(f"tr[data-agent={agent_id}]")


def process_of(server, agent_id, run_id):
    processes = agent(server, agent_id)["processes"]
    return next((one for one in processes if one["run_id"] == run_id and one["pid"]), None)


def deed(page, agent_id, verb):
    row(page, agent_id).locator(f"[data-verb={verb}]").click()


def test_an_agent_is_drained_and_gets_runs_again(console, server, w):
    page = console.open("/agents")
    expect(row(page, w).locator(".state")).to_have_text("active")
    expect(row(page, w)).to_contain_text("big")
    # Only one that came in by a key can be revoked.
    expect(row(page, w).locator("[data-verb=revoke]")).to_have_count(1)
    expect(row(page, "local").locator("[data-verb=revoke]")).to_have_count(0)
    deed(page, w, "drain")
    expect(row(page, w)).to_contain_text("draining")
    groups = server.get("/api/procstar/groups").json
    assert [conn["shutdown_state"] for conn in groups["far"]] == ["idling"]
    # Its own page has an address, and the same operations.
    row(page, w).get_by_role("link", name=w).click()
    page.wait_for_url(f"**/agents/{w}")
    expect(page).to_have_title(f"{w} · callsheet")
    expect(page.locator(".facts .state")).to_have_text("draining")
    page.locator(".acts-r [data-verb=undrain]").click()
    expect(page.locator(".facts .state")).to_have_text("active")
    page.go_back()
    expect(row(page, w).locator(".state")).to_have_text("active")


def test_an_agent_that_is_not_there_has_others_like_it(console, server, w):
    console.expected.append("404")
    page = console.open(f"/agents/{w}x")
    page.get_by_role("alert").get_by_role("link", name=w, exact=True).click()
    expect(page.locator(".facts")).to_contain_text("far")
    expect(page.locator("h1")).to_have_text(w)


def test_a_process_is_killed_only_when_that_is_confirmed(console, server, w):
    run_id = server.schedule("far/sleeps")
    until(lambda: server.run(run_id)["state"] == "running", "the run to run")
    process = until(lambda: process_of(server, w, run_id), f"{w} to tell of its process")
    page = console.open("/agents")
    line = page.locator(f"tr[data-process='{run_id}.1']")
    expect(line).to_contain_text("sleeps")
    expect(line).to_contain_text(str(process["pid"]))
    line.locator("[data-verb=kill]").click()
    page.get_by_role("button", name="Leave it running").click()
    expect(page.locator(".dialog")).to_have_count(0)
    assert lives(process["pid"])
    line.locator("[data-verb=kill]").click()
    page.locator(".dialog [type=submit]").click()
    expect(line).to_have_count(0)
    assert server.finished(run_id)["state"] == "failure"


def test_an_agent_is_shut_down_with_its_processes_and_then_forgotten(console, server, w):
    run_id = server.schedule("far/sleeps")
    until(lambda: server.run(run_id)["state"] == "running", "the run to run")
    page = console.open("/agents")
    server.far.leaves = True
    deed(page, w, "shutdown")
    page.locator(".dialog [name=processes]").select_option("stop")
    page.locator(".dialog [type=submit]").click()
    assert server.far.ends() == 0
    assert server.finished(run_id)["state"] == "failure"
    assert list((server.far.folder / "spool" / "runs").iterdir()) == []
    expect(row(page, w).locator(".state")).to_have_text("away")
    deed(page, w, "forget")
    page.get_by_role("button", name="Keep it").click()
    deed(page, w, "forget")
    page.locator(".dialog [type=submit]").click()
    expect(row(page, w)).to_have_count(0)
    expect(row(page, "local")).to_have_count(1)
