"""The pages of ad hoc runs and of what is to come."""

import re
import secrets
from datetime import date, timedelta

import pytest
from live_server import until
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)


def test_a_command_is_run_without_a_job_file_and_marked_wherever_it_shows(console):
    console.expected.append("400 (Bad Request)")
    page = console.open("/jobs")
    page.get_by_role("link", name="Ad hoc run").click()
    page.wait_for_url("**/adhoc")
    run = page.get_by_role("button", name="Run", exact=False).filter(has_text="Ctrl")
    page.get_by_role("button", name="at", exact=True).click()
    page.locator("[name=text]").fill("echo made here; exit 3")
    run.click()
    refused = page.get_by_role("alert").filter(has_text="400: times: schedule: time '': expected")
    expect(refused).to_be_visible()
    page.get_by_role("button", name="now", exact=True).click()
    run.click()
    page.wait_for_url("**/runs/r*")
    run_id = page.url.rsplit("/", 1)[1]
    expect(page.locator(".lines li")).to_contain_text("made here")
    expect(page.locator(".head .adhoc")).to_have_text("ad hoc")
    page.locator(".head h1 a.job").click()
    expect(page.locator(".facts .adhoc")).to_be_visible()
    for path in ("/runs", "/"):
        console.turn_to(path)
        row = page.locator(f"tr[data-run={run_id}]")
        expect(row.locator(".adhoc")).to_have_text("ad hoc")


def test_an_argument_of_an_ad_hoc_run_is_no_shell_s_to_read(console):
    page = console.open("/adhoc")
    page.get_by_role("button", name="argv").click()
    page.locator("[name=text]").fill("/bin/echo\none  $HOME\ntwo")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/runs/r*")
    expect(page.locator(".lines li")).to_contain_text("one  $HOME two")


def test_an_ad_hoc_run_has_args_and_shows_the_file_it_amounts_to(console):
    page = console.open("/adhoc")
    page.locator("[name=text]").fill("echo {{ word }} twice {{ word }}")
    page.locator("[name=labels]").fill("by-hand, once")
    expect(page.locator("[data-file]")).to_contain_text("params:\n  - word\n")
    expect(page.locator("[data-file]")).to_contain_text("- by-hand")
    page.locator("[name='arg.word']").fill("hello")
    page.get_by_role("button", name="Run", exact=False).filter(has_text="Ctrl").click()
    page.wait_for_url("**/runs/r*")
    expect(page.locator(".lines li")).to_have_text(["hello twice hello"])
    expect(page.locator(".facts .lab").first).to_have_text("by-hand")


def test_a_job_is_run_for_times_that_are_over_after_a_look(console, server):
    begins = date(2001, 1, 1) + timedelta(days=4 * secrets.randbelow(2000))  # another each try
    page = console.open("/job/nightly/report")
    page.get_by_role("button", name="Backfill").click()
    dialog = page.locator(".dialog")
    dialog.locator("[name='@from']").fill(str(begins))
    dialog.locator("[name='@to']").fill(str(begins + timedelta(days=3)))
    dialog.locator("[name='@parallel']").fill("2")
    dialog.locator("[type=submit]").click()
    expect(dialog).to_contain_text("3 runs")
    dialog.locator("[type=submit]").click()
    one = page.locator("[data-backfill]").first
    expect(one).to_have_attribute("data-state", "done")
    expect(one).to_contain_text("3 of 3 over")
    one.locator("a").click()
    page.wait_for_url("**/runs?q=backfill*")
    expect(page.locator("tr[data-run]")).to_have_count(3)


def test_a_run_shows_what_it_gave_back(console):
    page = console.open("/adhoc")
    page.locator("[name=text]").fill('echo rows=42 >> "$CALLSHEET_RESULT"')
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/runs/r*")
    expect(page.locator(".results")).to_contain_text("rows")
    expect(page.locator(".results")).to_contain_text("42")


def test_the_calendar_shows_the_runs_of_a_query_over_a_span(console):
    page = console.open("/calendar")
    rows = page.locator("tr[data-job]")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="7 days").click()
    expect(rows).to_have_count(7)
    page.keyboard.press("/")
    page.keyboard.type("greetings")
    page.wait_for_url("**/calendar?span=7d&q=greetings")
    expect(page.locator(".empty")).to_contain_text("No schedule names a run")
    console.turn_to("/calendar?q=label:night&span=7d")
    expect(page.locator("#query")).to_have_value("label:night")
    expect(rows).to_have_count(7)
    page.locator("[name=first]").fill("2031-03-29")
    page.locator("[name=last]").fill("2031-03-31")
    page.wait_for_url("**/calendar?q=label%3Anight&from=2031-03-29&to=2031-03-31")
    expect(rows).to_have_count(3)
    expect(page.locator("section.panel h2").first).to_contain_text("29 March 2031")
    rows.first.locator("a.job").click()
    page.wait_for_url("**/job/nightly/report")


def test_days_that_are_not_counted_yet_do_not_look_empty(console):
    waiting = []

    def wait(route):
        waiting.append(route)

    page = console.open("/jobs")
    page.route("**/api/v2/day?*", wait)
    console.turn_to("/calendar?q=report%20nightly")
    coming = page.locator("section[aria-labelledby=h-coming]")
    totals = coming.locator("g > text.lbl-end")
    expect(totals).to_have_text(["–"] * 14)
    expect(coming).not_to_contain_text("counted to")
    while waiting:
        waiting.pop().continue_()
    page.unroute("**/api/v2/day?*", wait)
    expect(totals.last).to_have_text("1")


@pytest.mark.parametrize("path", ["/calendar", "/jobs"])
def test_what_is_typed_on_while_the_address_takes_it_up_stays(console, path):
    page = console.open(path)
    page.keyboard.press("/")
    page.keyboard.type("nightly ")
    page.wait_for_url(f"**{path}?q=nightly")
    page.keyboard.type("report")
    page.wait_for_url(f"**{path}?q=nightly+report")
    expect(page.locator("#query")).to_have_value("nightly report")
    console.turn_to(f"{path}?q=greetings")
    expect(page.locator("#query")).to_have_value("greetings")
    console.turn_to(path)
    expect(page.locator("#query")).to_have_value("")


@pytest.mark.parametrize("path", ["/timeline", "/graph"])
def test_a_query_is_completed_where_no_list_is(console, path):
    page = console.open(path)
    box = page.get_by_role("combobox", name="Query")
    box.fill("sta")
    option = page.get_by_role("option", name="state:")
    expect(option.first).to_be_visible()
    box.press("Escape")
    box.fill("greetings")
    box.press("Enter")
    page.wait_for_url("**q=greetings**")


def test_escape_empties_the_search_of_jobs_and_its_address(console):
    page = console.open("/jobs?q=nightly")
    page.locator("#query").press("Escape")
    page.wait_for_url(lambda url: url.endswith("/jobs"))
    expect(page.locator("#query")).to_have_value("")


def test_the_calendar_counts_the_runs_of_a_job_in_an_hour(console, server):
    every = "schedule: {type: interval, interval: 60}\nprogram: {type: no-op}\n"
    path = server.folder / "jobs" / "often.yaml"
    path.write_text(every)
    server.insist("/api/v2/reload", {})
    page = console.open("/calendar?q=often&from=2031-03-29")
    rows = page.locator("tr[data-job=often]")
    expect(rows).to_have_count(24)
    expect(rows.first).to_contain_text("60×")
    console.turn_to("/calendar?q=often&from=2031-03-29&to=2031-04-29")
    expect(page.locator(".top")).to_contain_text("10,000 runs to 4 Apr 2031: the span has too many")
    expect(page.locator("section[aria-labelledby=h-coming]")).not_to_contain_text("counted to")


def test_days_of_which_nothing_is_known_are_not_shown_as_empty(console, server):
    path = server.folder / "jobs" / "unceasing.yaml"
    path.write_text("schedule: {type: interval, interval: 5}\nprogram: {type: no-op}\n")
    server.insist("/api/v2/reload", {})
    try:
        page = console.open("/calendar?q=unceasing")
        coming = page.locator("section[aria-labelledby=h-coming]")
        expect(coming).to_contain_text("counted to ")
        expect(coming.locator("rect.cal-x").first).to_be_attached()
        totals = coming.locator("g > text.lbl-end").all_text_contents()
        assert (totals[1], totals[-1]) == ("17,280", "–")
    finally:
        path.unlink()
        server.insist("/api/v2/reload", {})


def test_the_calendar_says_why_the_server_refuses_a_query(console):
    console.expected.append("400 (Bad Request)")
    page = console.open("/calendar?q=state:nonsense")
    refused = page.get_by_role("alert").filter(has_text="400: ")
    expect(refused).to_contain_text("nonsense")


def test_a_job_is_paused_with_a_reason_and_resumed_on_the_control_page(console):
    page = console.open("/job/greetings/hello")
    page.get_by_role("button", name="Pause").click()
    page.locator(".dialog [name=reason]").fill("year end <b>close</b>")
    page.locator(".dialog [type=submit]").click()
    expect(page.locator("[data-paused]")).to_contain_text(
        "job greetings/hello is paused by local: year end <b>close</b>"
    )
    console.turn_to("/control")
    paused = page.locator("[data-pauses] li")
    expect(paused).to_contain_text("job greetings/hello: year end <b>close</b>")
    paused.get_by_role("button", name="Resume").click()
    expect(page.locator("main")).to_contain_text("Nothing is paused.")
    page.get_by_role("button", name="Pause…", exact=True).click()
    page.locator(".dialog [type=submit]").click()
    page.locator(".dialog [name=reason]").fill("for a while")
    page.locator(".dialog [name=until]").fill("soon")
    console.expected.append("400 (Bad Request)")
    page.locator(".dialog [type=submit]").click()
    expect(page.locator(".toast", has_text="until: not a time")).to_be_visible()


def a_group(page, name):
    return page.locator(f"tr[data-group='{name}']")


def test_the_sheet_counts_the_day_by_folder_and_each_count_leads_to_its_runs(console, server):
    run_id = server.schedule("greetings/hello", name="Ada")
    server.finished(run_id)
    done = server.get("/api/v2/runs?q=job:greetings+state:success&limit=1").json["counts"]
    page = console.open("/")
    cell = a_group(page, "greetings").locator("td").nth(2)
    expect(cell).to_have_text(str(done["success"]))
    expect(page.locator("[data-total=done] b")).not_to_have_text("0")
    expect(a_group(page, "greetings").locator("svg path.f-success")).to_have_count(1)
    cell.locator("a").click()
    page.wait_for_url("**/runs?q=job*")
    expect(page.locator(f"tr[data-run={run_id}]")).to_be_visible()


def test_the_sheet_is_by_label_owner_or_agent_too_and_of_any_day(console, server):
    server.finished(server.schedule("colours"))
    page = console.open("/")
    page.get_by_role("button", name="Label").click()
    expect(a_group(page, "demo")).to_be_visible()
    page.get_by_role("button", name="Owner").click()
    expect(a_group(page, "painters@example.com").locator("a").first).to_have_attribute(
        "href", re.compile("owner")
    )
    page.get_by_role("button", name="Agent").click()
    expect(a_group(page, "local")).to_be_visible()
    page.get_by_role("button", name="Folder").click()
    page.get_by_role("link", name="Day after").click()
    page.wait_for_url("**/day/*")
    expect(a_group(page, "nightly").locator("td").nth(1)).to_have_text("1")
    expect(page.locator("h2", has_text="Running now")).to_have_count(0)
    page.get_by_role("link", name="Today").click()
    expect(page.locator("h2", has_text="Running now")).to_be_visible()
    # Not those of the fixture alone: tests before this one bring in others.
    in_force = len(server.get("/api/v2/jobs").json["jobs"])
    expect(page.get_by_role("link", name=f"Jobs {in_force}", exact=True)).to_be_visible()
    console.turn_to("/day/2030-01-03")
    said = page.locator("[data-calendars]")
    expect(said).to_have_text("week 1 · in open · not in closed")
    console.turn_to("/day/2032-12-31")
    expect(said).to_have_text("week 53")


def test_a_drag_over_a_lane_opens_the_runs_of_that_time(console, server):
    server.finished(server.schedule("colours"))
    page = console.open("/")
    lane = page.locator("tr.all td.lane svg")
    expect(lane.locator("path.f-success")).to_have_count(1)
    lane.drag_to(lane, source_position={"x": 100, "y": 20}, target_position={"x": 300, "y": 20})
    page.wait_for_url("**/runs?q=since*until*")


def test_the_sheet_prints_without_what_is_for_the_screen_alone(console, server):
    server.finished(server.schedule("fails"))
    page = console.open("/")
    expect(a_group(page, "")).to_be_visible()
    owner = page.locator(".needs tr").first.locator("[data-owner]")
    assert owner.evaluate("one => one.scrollWidth <= one.clientWidth")
    day, prints = (page.get_by_role("link", name="Today"), page.get_by_role("button", name="Print"))
    assert abs(day.bounding_box()["y"] - prints.bounding_box()["y"]) < 10
    page.emulate_media(media="print")
    expect(page.locator(".rail")).to_be_hidden()
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    expect(page.locator(".btn:visible")).to_have_count(0)
    expect(page.locator(".print-only")).to_contain_text("expected: ")
    expect(page.locator(".needs tr").first).to_contain_text("fails")
    expect(page.locator(".needs tr").first.locator("[data-owner]")).to_have_text("Ada L")


def test_the_form_of_a_job_is_made_from_its_params(console):
    page = console.open("/job/typed")
    page.get_by_role("button", name="Run now").click()
    dialog = page.locator(".dialog")
    expect(dialog).to_contain_text("How much to do.")
    sizes = dialog.locator("select[name=size] option")
    expect(sizes).to_have_count(2)
    assert sorted(sizes.all_text_contents()) == ["large", "small"]
    expect(dialog).to_contain_text("from 1 to 9")
    dialog.locator("[name=size]").select_option("small")
    dialog.locator("[name=careful]").select_option("true")
    dialog.locator("[name=parts]").fill("3")
    dialog.locator("[type=submit]").click()
    page.wait_for_url("**/runs/r*")
    expect(page.locator(".lines li")).to_have_text(["small true 3"])
    page.go_back()
    expect(page.get_by_role("button", name="Run now")).to_be_visible()
    page.keyboard.press("n")
    # What was run last is likely again.
    expect(dialog.locator("[name=parts]")).to_have_value("3")
    dialog.locator("[name='@when']").fill("+2h")
    dialog.locator("[type=submit]").click()
    page.wait_for_url("**/runs/r*")
    expect(page.locator(".head .state")).to_contain_text("scheduled")


def test_a_job_shows_how_its_runs_went_and_how_long_they_took(console, server):
    for name in ("one", "two", "three"):
        server.finished(server.schedule("greetings/hello", name=name))
    page = console.open("/job/greetings/hello")
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("100.0 % success")
    expect(history).to_contain_text("p50")
    heat = history.locator("[data-heat]")
    expect(heat.locator("path.f-success")).to_have_count(1)
    expect(history.get_by_role("button", name="Load older")).to_have_count(0)
    assert "success" in heat.get_attribute("aria-label")
    history.get_by_role("button", name="Show as table: History").click()
    cells = page.get_by_role("region", name="History as table")
    expect(cells.locator("tbody tr:last-child td:nth-last-child(1)")).to_have_text("success")
    expect(heat).to_have_count(0)
    history.get_by_role("button", name="Show as table: Duration").click()
    took = page.get_by_role("region", name="Duration as table").locator("tbody tr")
    expect(took.first).to_contain_text("success")
    assert took.count() >= 3
    took.first.get_by_role("link").click()
    page.wait_for_url("**/runs/r*")
    page.go_back()
    page.get_by_role("link", name="YAML").click()
    expect(page.locator("[data-source=yaml]")).to_contain_text("command: 'echo hello {{ name }}'")
    page.get_by_role("link", name="JSON").click()
    expect(page.locator("[data-source=json]")).to_contain_text('"job_id": "greetings/hello"')


def test_a_job_shows_what_it_needs_and_what_needs_it(console):
    page = console.open("/job/chain/second")
    graph = page.locator("svg.graph")
    expect(graph.locator(".gnode")).to_have_count(2)
    graph.locator("[data-job='chain/first']").click()
    page.wait_for_url("**/job/chain/first")
    expect(page.locator("svg.graph [data-job='chain/second']")).to_be_visible()


def test_the_timeline_has_a_lane_per_job_with_a_now_line_and_opens_a_run(console, server, gate):
    run_id = server.schedule("gated", gate=str(gate))
    until(lambda: server.run(run_id)["state"] == "running", "the run to run")
    page = console.open("/timeline?span=2h&q=gated")
    expect(page.locator("[data-lane=gated]")).to_be_visible()
    running = page.locator("svg.gantt path.f-running")
    expect(running).to_have_count(1)
    switch = page.get_by_role("button", name="Show as table: Timeline")
    switch.click()
    line = page.get_by_role("region", name="Timeline as table").locator("tr", has_text=run_id)
    expect(line).to_contain_text("running")
    expect(line).to_contain_text(f"gate={gate}")
    switch.click()
    expect(page.locator("svg.gantt path.now-l")).to_have_count(1)

    def pointed():
        # The bar ends at the now-line, which goes on; close before it the run is pointed at.
        now_x = float(page.locator("svg.gantt .now-tag").get_attribute("x")) + 27
        lane_y = float(page.locator("[data-lane=gated]").get_attribute("y")) - 4
        box = page.locator("svg.gantt").bounding_box()
        page.mouse.move(box["x"] + now_x - 1, box["y"] + lane_y)
        return run_id in page.locator(".over").inner_text()

    until(pointed, "the run to be pointed at")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url(f"**/runs/{run_id}")
    gate.touch()


def test_the_timeline_goes_back_and_forth_and_its_address_says_where_it_is(console):
    page = console.open("/timeline?q=nightly")
    expect(page.locator("[data-lane='nightly/report']").or_(page.locator(".empty"))).to_be_visible()
    page.get_by_role("button", name="week").click()
    page.wait_for_url("**span=week**")
    expect(page.locator("[data-lane='nightly/report']")).to_be_visible()
    assert page.locator("svg.gantt path.fc").get_attribute("d")
    page.keyboard.press("[")
    page.wait_for_url("**from=*")
    page.keyboard.press("n")
    page.wait_for_url(lambda url: "from=" not in url)
    expect(page.locator(".ccell[data-n='1']").first).to_be_visible()
    page.get_by_role("button", name="Show as table: Coming days").click()
    coming = page.get_by_role("region", name="Coming days as table").locator("tbody tr")
    expect(coming.first.locator("td").last).to_have_text("1")
    page.get_by_role("link", name="Calendar").click()
    page.wait_for_url("**/calendar?q=nightly")
    page.get_by_role("link", name="Graph").click()
    expect(page.locator(".empty")).to_contain_text("waits for another")


def test_the_graph_shows_what_hangs_on_what_with_states_and_around_one_job(console, server):
    server.finished(server.schedule("fails"))
    page = console.open("/graph")
    second = page.locator(".gnode[data-job='chain/second']")
    expect(second).to_be_visible()
    expect(page.locator("svg.graph path.line-x")).to_have_count(1)
    switch = page.get_by_role("button", name="Show as table: Graph of jobs")
    switch.click()
    needing = page.get_by_role("table").locator(
        "tr", has=page.get_by_role("rowheader", name="chain/second")
    )
    expect(needing.locator("td").nth(1)).to_have_text("chain/first")
    switch.click()
    expect(page.locator(".gnode[data-job=fails]")).to_have_count(0)
    console.turn_to("/graph?focus=chain/first&down=1")
    expect(page.locator(".node.me")).to_have_count(1)
    second.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/job/chain/second")


def test_the_sheet_on_a_wall_has_nothing_to_click_and_follows_by_itself(console, server):
    page = console.open("/?wall=1")
    # Of 4k: figures have their whole size there, however many digits they have.
    page.set_viewport_size({"width": 3840, "height": 2160})
    figure = page.locator("[data-total=done] b")
    expect(figure).to_be_visible()
    assert figure.evaluate("one => one.getBoundingClientRect().height") > 90
    tops = "all => all.map((one) => one.getBoundingClientRect().top)"
    assert len(set(page.locator(".totals a").evaluate_all(tops))) == 1
    expect(page.locator(".rail, .tabbar, .skip")).to_have_count(0)
    expect(page.locator("button:visible")).to_have_count(0)
    before = int(figure.inner_text())
    server.finished(server.schedule("colours"))
    expect(figure).not_to_have_text(str(before))


def test_a_query_is_saved_under_a_name_found_again_and_forgotten(console):
    page = console.open("/runs?q=label:night")
    page.get_by_role("button", name="Save…").click()
    page.locator(".dialog [name=name]").fill("Every night")
    page.locator(".dialog [type=submit]").click()
    saved = page.get_by_role("navigation", name="Saved queries").get_by_role("link")
    expect(saved).to_have_text(["Every night"])
    console.turn_to("/jobs")
    saved.click()
    page.wait_for_url("**/runs?q=label:night")
    console.undo_at_once()
    page.get_by_role("button", name="Forget").click()
    console.toast("Forgot Every night")
    expect(saved).to_have_text(["Every night"])
    page.evaluate("() => window.undoing.disconnect()")
    page.get_by_role("button", name="Forget").click()
    expect(saved).to_have_count(0)
