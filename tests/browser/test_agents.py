"""The console's page of agents: what they keep, and what people do to them."""

from __future__ import annotations

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
    """A server that lets agents of other hosts in, and one such agent, w1."""
    port = two_ports()
    folder = tmp_path_factory.mktemp("agents")
    settings = f"agents:\n  listen: tcp://127.0.0.1:{port}\n  start_timeout: 60s\n"
    server = Server(folder, JOBS, settings)
    server.start()
    far = server.far = Far(server, folder / "w1", port)
    far.token("--group", "far")
    far.start("--token-file", str(far.folder / "token"), "--agent-id", "w1", "--label", "big")
    until(lambda: agent(server, "w1").get("state") == "active", "w1 to come")
    yield server
    far.close()
    server.stop()


def row(page, agent_id):
    return page.locator(f"tr[data-agent={agent_id}]")


def deed(page, agent_id, verb):
    row(page, agent_id).locator(f"[data-verb={verb}]").click()


def test_an_agent_is_drained_and_gets_runs_again(console, server):
    page = console.open("/agents")
    expect(page.locator("main")).to_contain_text("2 of 2 connected")
    expect(row(page, "w1")).to_contain_text("big")
    # Only one that came in by a key can be revoked.
    expect(row(page, "w1").locator("[data-verb=revoke]")).to_have_count(1)
    expect(row(page, "local").locator("[data-verb=revoke]")).to_have_count(0)
    deed(page, "w1", "drain")
    expect(row(page, "w1")).to_contain_text("draining")
    groups = server.get("/api/procstar/groups").json
    assert [conn["shutdown_state"] for conn in groups["far"]] == ["idling"]
    deed(page, "w1", "undrain")
    expect(row(page, "w1").locator(".state")).to_have_text("active")


def test_a_process_is_killed_only_when_that_is_confirmed(console, server):
    run_id = server.schedule("far/sleeps")
    until(lambda: server.run(run_id)["state"] == "running", "the run to run")
    [process] = agent(server, "w1")["processes"]
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


def test_an_agent_is_shut_down_with_its_processes_and_then_forgotten(console, server):
    run_id = server.schedule("far/sleeps")
    until(lambda: server.run(run_id)["state"] == "running", "the run to run")
    page = console.open("/agents")
    deed(page, "w1", "shutdown")
    page.locator(".dialog [name=processes]").select_option("stop")
    page.locator(".dialog [type=submit]").click()
    assert server.far.ends() == 0
    assert server.finished(run_id)["state"] == "failure"
    assert list((server.far.folder / "spool" / "runs").iterdir()) == []
    expect(row(page, "w1").locator(".state")).to_have_text("away")
    deed(page, "w1", "forget")
    page.get_by_role("button", name="Keep it").click()
    deed(page, "w1", "forget")
    page.locator(".dialog [type=submit]").click()
    expect(row(page, "w1")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("1 of 1 connected")
