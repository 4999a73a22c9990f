"""What the list of runs keeps its rows in: held against plain arrays, and counted in steps.

The modules are pure. A page of this origin that is no console lends them its engine."""

import json

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Numbers that are the same each time.
DRAWN = """
let seed = SEED;
const draw = (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed % below;
};
"""
# A sequence and an array go through the same changes; tells in what they differ, and after which.
SAME_AS_AN_ARRAY = """
async () => {
    const { Sequence } = await import("/static/js/sequence.js");
    DRAWN
    const rows = new Sequence((run) => run.id, 40);
    const plain = new Array(40).fill(null);
    let made = 0;
    const at_a_place = (some) => draw(some.length + 1);
    // Each item knows where it belongs: between those that are known on both sides of it.
    const fitting = (place) => {
        const below = plain.slice(0, place).findLast((one) => one)?.n ?? 0;
        const above = plain.slice(place).find((one) => one)?.n ?? below + 2;
        return { id: `r${++made}`, n: (below + above) / 2 };
    };
    for (let turn = 0; turn < 1500; turn += 1) {
        const place = at_a_place(plain);
        const kind = draw(10);
        if (kind < 4) {
            const item = fitting(place);
            rows.insert(place, item);
            plain.splice(place, 0, item);
        } else if (kind < 6) {
            rows.widen(place);
            plain.splice(place, 0, null);
        } else if (kind < 8 && place < plain.length) {
            const old = plain[place];
            const fresh = fitting(place);
            const item = old && draw(2) ? { ...old, turn } : { ...fresh, n: old?.n ?? fresh.n };
            rows.put(place, item);
            plain[place] = item;
        } else if (kind < 9 && place < plain.length) {
            rows.remove(place);
            plain.splice(place, 1);
        } else if (kind === 9 && draw(20) === 0) {
            rows.cut(place);
            plain.length = Math.min(place, plain.length);
        }
        const first = at_a_place(plain);
        const known = plain.filter((one) => one);
        const n = draw(1000) / 500;
        const sought = plain.findIndex((one) => one && one.n >= n);
        const some = known.length ? known[draw(known.length)] : null;
        const pairs = {
            length: [rows.length, plain.length],
            known: [rows.known, known.length],
            slice: [rows.slice(first, first + 7), plain.slice(first, first + 7)],
            at: [rows.at(place), plain[place] ?? null],
            items: [[...rows.items(first)], plain.slice(first).filter((one) => one)],
            seek: [rows.seek((one) => one.n - n), sought < 0 ? plain.length : sought],
            place: [some && rows.placeOf(some.id), some && plain.indexOf(some)],
            get: [some && rows.get(some.id), some],
            gone: [rows.placeOf("r0"), -1],
        };
        for (const [name, pair] of Object.entries(pairs)) {
            const [found, expected] = pair.map((one) => JSON.stringify(one));
            if (found !== expected) return `${name}, ${turn}: ${found}: expected ${expected}`;
        }
    }
    return made > 500 ? "the same" : `only ${made} items were made`;
}
"""
# How many nodes are looked at, or changed, for 200 runs that come into a list of so many rows and
# change there once, and for what is drawn of it after each.
COST = """
async ([length, known]) => {
    const { Sequence } = await import("/static/js/sequence.js");
    const { Lines } = await import("/static/js/runlines.js");
    DRAWN
    const rows = new Sequence((run) => run.run_id, length);
    for (let place = 0; place < known; place += 1)
        rows.put(place, { run_id: `r${length - place}`, n: length - place });
    const before = rows.steps;
    for (let turn = 0; turn < 200; turn += 1) {
        const run = { run_id: `r${length + turn + 1}`, n: draw(known) + length - known + 0.5 };
        rows.insert(rows.seek((other) => run.n - other.n), run);
        rows.put(rows.placeOf(run.run_id), { ...run, state: "success" });
        const lines = new Lines(rows, [], 0, new Set());
        lines.slice(0, 64);
        lines.indexOf(run.run_id);
    }
    return (rows.steps - before) / 200;
}
"""
# The lines of a list with reruns in it, against folding them row by row.
FOLDED = """
async () => {
    const { Sequence } = await import("/static/js/sequence.js");
    const { Lines } = await import("/static/js/runlines.js");
    DRAWN
    for (let turn = 0; turn < 150; turn += 1) {
        const runs = [];
        for (let n = 1; n <= 30; n += 1) {
            const source = n > 1 && draw(3) === 0 ? `r${1 + draw(n - 1)}` : null;
            const state = ["success", "failure", "running"][draw(3)];
            runs.push({ run_id: `r${n}`, rerun_of: source, state });
        }
        // Some are not known, and the order is not that of their numbers.
        const order = runs.map((run) => (draw(5) ? run : null)).sort(() => draw(3) - 1);
        const rows = new Sequence((run) => run.run_id, order.length);
        order.forEach((run, place) => run && rows.put(place, run));
        const known = order.filter((run) => run);
        const root = (run) => {
            const before = known.find((one) => one.run_id === run.rerun_of);
            return before ? root(before) : (run.rerun_of ?? run.run_id);
        };
        const rank = (run) => (run.state === "running" ? 1000 : 0) + Number(run.run_id.slice(1));
        const skip = draw(4);
        const opened = new Set(known.filter(() => draw(2)).map((run) => run.run_id));
        const expected = [];
        order.forEach((run, at) => {
            if (at < skip) return;
            if (!run) return void expected.push([null, at, false, 0]);
            const group = known.filter((one) => root(one) === root(run));
            group.sort((a, b) => rank(b) - rank(a));
            const [head, ...rest] = group.filter((one, i) => i === 0 || one.state !== "running");
            if (rest.includes(run)) return;
            const subs = run === head ? rest : [];
            expected.push([run.run_id, at, false, subs.length && subs.length + 1]);
            if (opened.has(run.run_id))
                for (const sub of subs) expected.push([sub.run_id, at, true, 0]);
        });
        const reruns = known.filter((run) => run.rerun_of);
        const lines = new Lines(rows, reruns, skip, opened);
        const said = (line) => [line.run?.run_id ?? null, line.at, line.sub, line.others];
        const from = draw(expected.length + 1);
        const ids = known.map((run) => run.run_id);
        const shown = expected.map(([id]) => id);
        const pairs = [
            [lines.length, expected.length],
            [lines.slice(0, 99).map(said), expected],
            [lines.slice(from, from + 4).map(said), expected.slice(from, from + 4)],
            [ids.map((id) => lines.indexOf(id)), ids.map((id) => shown.indexOf(id))],
            [lines.runs().map((run) => run.run_id).sort(), shown.filter((id) => id).sort()],
        ];
        for (const pair of pairs) {
            const [found, wanted] = pair.map((one) => JSON.stringify(one));
            if (found !== wanted) return `${turn}: ${found}: expected ${wanted}`;
        }
    }
    return "the same";
}
"""
# Time that goes on by itself: frames of 16 ms, and something to show that takes so long. Tells
# when it was shown, having been asked for at each of these instants.
SHOWN = """
async ([instants, takes]) => {
    let now = 1000;
    let next = 0;
    const due = new Map();
    const at = (ms, act) => (due.set((next += 1), [ms, act]), next);
    performance.now = () => now;
    window.setTimeout = (act, ms = 0) => at(now + ms, act);
    window.clearTimeout = window.cancelAnimationFrame = (id) => due.delete(id);
    window.requestAnimationFrame = (act) => at((Math.floor(now / 16) + 1) * 16, act);
    const { Pace } = await import("/static/js/pace.js");
    const shown = [];
    const pace = new Pace(() => {
        shown.push(now - 1000);
        now += takes;
    });
    for (const ms of instants) at(1000 + ms, () => pace.ask());
    while (due.size) {
        const [id, [ms, act]] = [...due].sort(([a, [x]], [b, [y]]) => x - y || a - b)[0];
        due.delete(id);
        now = Math.max(now, ms);
        act();
    }
    return shown;
}
"""


@pytest.fixture
def engine(console):
    """A page that runs scripts of this origin, and is no console."""
    console.expected.append("404 (Not Found)")  # the browser looks for an icon of it
    console.page.goto("/static/js/sequence.js")
    return lambda script, arg=None, seed=1: console.page.evaluate(
        script.replace("DRAWN", DRAWN.replace("SEED", str(seed))), arg
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_sequence_is_an_array_whose_holes_are_counted(engine, seed):
    assert engine(SAME_AS_AN_ARRAY, seed=seed) == "the same"


def test_reruns_are_folded_as_if_row_by_row(engine):
    assert engine(FOLDED) == "the same"


def test_a_run_that_comes_costs_no_more_in_a_list_of_half_a_million(engine):
    small = engine(COST, [1_000, 1_000])
    for length, known in ((100_000, 300), (100_000, 100_000), (500_000, 500)):
        large = engine(COST, [length, known])
        assert large < 2 * small, json.dumps([length, known, large, small])


def test_what_comes_after_a_rest_is_shown_in_the_frames_in_which_it_comes(engine):
    # A frame begins at 8 ms and each 16 ms after it.
    assert engine(SHOWN, [[0, 20, 45, 500], 10]) == [8, 24, 56, 504]


@pytest.mark.parametrize("takes", [4, 10, 14, 40])
def test_what_never_ceases_to_come_is_shown_in_half_of_the_time_and_all_of_it(engine, takes):
    shown = engine(SHOWN, [list(range(0, 5000, 5)), takes])
    assert shown[-1] >= 4995
    # The half, what is made up for, and the showing that begins when there is a little left.
    assert takes * len(shown) <= (shown[-1] + 100) / 2 + takes
    # No less is shown than may be: but in each frame once at most.
    assert takes * len(shown) >= min(2500, takes * 5000 / 17) * 0.9
