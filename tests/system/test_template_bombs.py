"""Job files are other people's programs: what never ends or grows for ever ends in an error run."""

import pytest

FINE = 'params: [n]\nprogram: {type: no-op, duration: "{{ 0 * n | int }}"}\n'
GROWING = (
    "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
)
# By name: the template, and words of what the run says; those that only the kernel can end last.
BOMBS = {
    "text": ("{{ 'a' * 10**9 }}", "operator *"),
    "power": ("{{ 9**9**9 }}", "operator **"),
    "filled": ("{{ 'a'.ljust(10**9) }}", "ljust"),
    "format": ("{{ '{:>1000000000}'.format(1) }}", "expected widths and precisions below 1000"),
    "range": ("{{ range(10**12) | list }}", "Range too big"),
    "lipsum": ("{{ lipsum(100000) }}", "name 'lipsum' is not defined"),
    "macro": ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "too deep or too large"),
    "growing": (GROWING, "too deep or too large"),
    "loops": (
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "binding job bombs/loops: took longer than 1 s",
    ),
    "lists": ("{{ [[0] * 100000] * 100000 }}", "binding job bombs/lists: took longer than 1 s"),
}
# What the run says instead where not even that could be said: the kernel had ended the binder.
DIED = "binding job bombs/lists: the binder died at it twice: it takes longer than 1 s"


def bomb(text):
    return f"program:\n  type: shell\n  command: |\n    {text}\n"


@pytest.mark.slow
def test_each_bomb_is_an_error_run_that_names_its_job_and_others_run_on(a_server):
    jobs = {f"bombs/{name}": bomb(text) for name, (text, _) in BOMBS.items()}
    jobs["bombs/pattern"] = (
        'params: {x: {pattern: "(a+)+b"}}\nprogram: {type: no-op}\n'  # matched within one step of C
    )
    server = a_server({**jobs, "fine": FINE}).start()
    asked, fine = {}, []
    for number, name in enumerate(BOMBS):
        asked[name] = server.schedule(f"bombs/{name}")
        fine.append(server.schedule("fine", n=str(number)))
    endless = server.schedule("bombs/pattern", x="a" * 40)
    for name, (_, words) in BOMBS.items():
        run = server.finished(asked[name])
        assert run["state"] == "error", name
        output = server.get(f"/api/v1/runs/{asked[name]}/output/output").body.decode()
        assert words in output or (name == "lists" and DIED in output), name
    assert server.finished(endless)["state"] == "error"
    assert {server.finished(run_id)["state"] for run_id in fine} == {"success"}
    assert "Traceback" not in server.log()


@pytest.mark.slow
def test_a_bomb_that_a_schedule_would_render_is_a_problem_of_its_job(a_server):
    schedule = "schedule: {type: interval, interval: 1h}\n"
    server = a_server({"fine": "program: {type: no-op}\n"}).start()
    path = server.folder / "jobs" / "loops.yaml"
    path.write_text(bomb(BOMBS["loops"][0]) + schedule)
    answer = server.insist("/api/control/reload_jobs", {})
    assert answer.status == 400
    [[job_id, sentence]] = answer.json["job_errors"]
    assert job_id == "loops"
    assert "took longer or more memory than allowed" in sentence
    assert server.finished(server.schedule("fine"))["state"] == "success"


@pytest.mark.slow
def test_functions_of_the_settings_are_names_of_templates(a_server):
    settings = "templates: {functions: {fiscal: our_dates:fiscal}, path: python}\n"
    job = "program: 'echo {{ fiscal(2024) }}'\n"
    server = a_server({"a": job}, settings)
    told = server.callsheetctl("serve", "--config", str(server.config), "--bind", "127.0.0.1:0")
    assert told.returncode == 1
    assert "templates.functions.fiscal: our_dates:fiscal cannot be imported" in told.stderr
    assert "Traceback" not in told.stderr
    (server.folder / "python").mkdir()
    (server.folder / "python" / "our_dates.py").write_text("def fiscal(year): return year + 1\n")
    server.start()
    run_id = server.schedule("a")
    assert server.finished(run_id)["state"] == "success"
    assert server.get(f"/api/v1/runs/{run_id}/output/output").body == b"2025\n"
    checked = server.callsheetctl("check", "--config", str(server.config))
    assert (checked.returncode, checked.stderr) == (0, "")
