// Runs: the list of a query, live, drawn by window.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../preact.js";
import { AdHoc, Args, Elapsed, Icon, JobName, Late, State, Time, Trouble } from "../parts.js";
import { BEGUN, clock, count, due, reason, shownState, STATES } from "../format.js";
import { operate, verbOf } from "../operations.js";
import { useComing, useRuns } from "../runlist.js";
import { go, useUrl } from "../router.js";
import { useNow } from "../stream.js";
import { may } from "../session.js";

const COMING_SHOWN = 5;
const SPARE = 24;

export function RunsView() {
  const url = useUrl();
  const q = url.searchParams.get("q") ?? "";
  const state = url.searchParams.get("state") ?? "";
  const [text, setText] = useState(q);
  const [coming, setComing] = useState(false);
  const toCome = state === "scheduled";
  const list = useRuns({ q }, { states: state || BEGUN });
  const ahead = useComing(state === "" || toCome ? { q } : null, coming || toCome);
  const runs = useMemo(() => (toCome ? ahead.runs : both(list.runs, ahead.runs)), [list.runs, ahead.runs, toCome]);
  const error = list.error ?? ahead.error;
  useEffect(() => setText(q), [q]);
  const set = (changes, replace = false) => {
    const next = new URL(url);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.searchParams.set(name, value);
      else next.searchParams.delete(name);
    }
    go(next.pathname + next.search, { replace });
  };
  const typed = useRef(0);
  const onInput = (event) => {
    const { value } = event.target;
    setText(value);
    clearTimeout(typed.current);
    typed.current = setTimeout(() => set({ q: value.trim() }, true), 400);
  };
  const addTerm = (term, exclude) => {
    const word = (exclude ? "!" : "") + term;
    const words = q.split(/\s+/).filter(Boolean);
    set({ q: words.includes(word) ? words.filter((one) => one !== word).join(" ") : [...words, word].join(" ") });
  };
  const total = list.counts ? Object.values(list.counts).reduce((sum, n) => sum + n, 0) : null;
  return html`<div>
    <div class="top">
      <h1 class="sr">Runs</h1>
      <form
        class="query"
        role="search"
        onSubmit=${(event) => {
          event.preventDefault();
          set({ q: text.trim() });
        }}
      >
        <input id="query" value=${text} onInput=${onInput} placeholder="job words, state:, label:, arg=value, !not" aria-label="Query" spellcheck="false" autocomplete="off" /><kbd>/</kbd>
      </form>
      ${may("admin") && html`<a class="btn hide-s" href="/adhoc">Ad hoc run…</a>`}
    </div>
    <div class="facets">
      <button aria-pressed=${state === ""} onClick=${() => set({ state: "" })}>all ${total !== null && html`<b>${count(total)}</b>`}</button>
      ${STATES.filter((one) => list.counts?.[one] || one === state || ["running", "failure", "waiting"].includes(one)).map(
        (one) => html`<button key=${one} aria-pressed=${state === one} onClick=${() => set({ state: state === one ? "" : one })}>
          <${Icon} state=${one} />${one} ${list.counts && html`<b>${count(list.counts[one] ?? 0)}</b>`}
        </button>`,
      )}
    </div>
    ${error && !runs.length
      ? html`<${Trouble} error=${error} again=${list.reload} />`
      : !list.loading && !ahead.loading && !runs.length
        ? html`<${Nothing} q=${q} state=${state} set=${set} />`
        : html`<${RunTable} list=${list} runs=${runs} planned=${state ? 0 : (list.counts?.scheduled ?? 0)} all=${coming || toCome} showAll=${() => setComing(true)} addTerm=${addTerm} />`}
  </div>`;
}

/** What found nothing, and the likeliest mend. */
function Nothing({ q, state, set }) {
  if (!q && !state) return html`<div class="panel empty">No runs yet. Put a file into the job folder and load it on <a href="/control"><u>Control</u></a>.</div>`;
  return html`<div class="panel empty">
    No runs${q && html` with <code>${q}</code>`}${state && html` in state <code>${state}</code>`}.
    <p class="sec-s">${q && state ? html`<button class="btn" onClick=${() => set({ state: "" })}>In any state</button> ` : null}<button class="btn" onClick=${() => set({ q: "", state: "" })}>All runs</button></p>
  </div>`;
}

/** Two lists as one; of a run in both the newer record. */
function both(some, others) {
  const found = new Map(some.map((run) => [run.run_id, run]));
  for (const run of others) if (!((found.get(run.run_id)?.version ?? -1) > (run.version ?? 0))) found.set(run.run_id, run);
  return [...found.values()];
}

function RunTable({ list, runs, planned, all, showAll, addTerm }) {
  const now = useNow();
  const { rows, coming, columns } = useMemo(() => arranged(runs, now, all), [runs, Math.floor(now / 1000), all]);
  const hidden = all ? 0 : planned - coming;
  const [at, setAt] = useState(-1);
  const body = useRef(null);
  const span = useWindow(rows.length, body);
  useEffect(() => {
    if (list.more && span.last > rows.length - 40) list.loadMore();
  }, [span.last, rows.length, list.more]);
  useKeys(rows, at, setAt);
  const columnCount = 8 + columns.length;
  const nowAt = rows.findIndex((run) => due(run) <= now);
  return html`<div class="panel list-w">
    ${hidden > 0 && html`<button class="new-rows" onClick=${showAll}>${count(hidden)} more coming, show</button>`}
    <table class="runs stack" aria-rowcount=${rows.length}>
      <colgroup>
        <col class="col-state" /><col class=${columns.length ? "col-job-s" : "col-job"} />${columns.map(() => html`<col class="col-arg hide-m" />`)}<col class="col-time" /><col class="col-late" /><col
          class="col-el"
        /><col class="col-agent hide-m" /><col /><col class="col-run" />
      </colgroup>
      <thead>
        <tr>
          <th>State</th>
          <th>Job</th>
          ${columns.map((name) => html`<th class="hide-m">${name}</th>`)}
          <th class="num" aria-sort="descending">Scheduled</th>
          <th class="num">Late</th>
          <th class="num">Elapsed</th>
          <th class="hide-m">Agent</th>
          <th>Why, or result</th>
          <th class="num">Run</th>
        </tr>
      </thead>
      <tbody ref=${body}>
        <${Pad} rows=${span.first} height=${span.height} columns=${columnCount} />
        ${rows.slice(span.first, span.last).map((run, offset) => {
          const index = span.first + offset;
          return html`${index === nowAt && nowAt > 0 && html`<${NowRow} key="now" columns=${columnCount} />`}
            <${Row} key=${run.run_id} run=${run} now=${now} columns=${columns} index=${index} picked=${index === at} addTerm=${addTerm} />`;
        })}
        <${Pad} rows=${rows.length - span.last} height=${span.height} columns=${columnCount} />
      </tbody>
    </table>
    ${list.more && !all && html`<p class="empty small dim">older runs load as you scroll</p>`}
  </div>`;
}

function Row({ run, now, columns, index, picked, addTerm }) {
  const rest = Object.fromEntries(Object.entries(run.args).filter(([name]) => !columns.includes(name)));
  return html`<tr class=${picked ? "picked" : ""} aria-rowindex=${index + 1} data-run=${run.run_id} data-state=${run.state}>
    <td class="m-st"><${State} run=${run} /></td>
    <td class="m-a j">
      <${AdHoc} of=${run} /> <${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${rest} />
    </td>
    ${columns.map(
      (name) => html`<td class="hide-m">
        ${name in run.args
          ? html`<button
              class="link"
              title=${`click: only ${name}=${run.args[name]} · Alt-click: without`}
              onClick=${(event) => addTerm(`${name}=${/\s/.test(run.args[name]) ? JSON.stringify(run.args[name]) : run.args[name]}`, event.altKey)}
            >
              ${run.args[name]}
            </button>`
          : html`<span class="z">–</span>`}
      </td>`,
    )}
    <td class="m-b num"><${Time} at=${run.schedule_time} /></td>
    <td class="num"><${Late} run=${run} /></td>
    <td class="m-d num">${run.times.running ? html`<${Elapsed} run=${run} />` : html`<span class=${`only-s s-${shownState(run)} c`}>${shownState(run)}</span><span class="z hide-s">–</span>`}</td>
    <td class="hide-m">${run.agent ?? html`<span class="z">–</span>`}</td>
    <td class="m-c cut" title=${reason(run, now)}>${reason(run, now)}</td>
    <td class="num"><a class="rid" href=${`/runs/${run.run_id}`}>${run.run_id}</a></td>
  </tr>`;
}

function NowRow({ columns }) {
  const now = useNow();
  return html`<tr class="nowrow" aria-hidden="true">
    <td colspan=${columns}><div>${clock(now)} now</div></td>
  </tr>`;
}

function Pad({ rows, height, columns }) {
  return rows > 0 && html`<tr class="pad-row" aria-hidden="true"><td colspan=${columns} style=${{ height: `${rows * height}px` }}></td></tr>`;
}

/** Sorted by schedule time, newest first; of what is still to come only the next few; args most of the
 *  page shares become columns. */
function arranged(runs, now, all) {
  const sorted = [...runs].sort((a, b) => due(b) - due(a) || Number(b.run_id.slice(1)) - Number(a.run_id.slice(1)));
  const past = sorted.findIndex((run) => due(run) <= now);
  const coming = past < 0 ? sorted.length : past;
  const shown = all ? coming : Math.min(coming, COMING_SHOWN);
  const rows = sorted.slice(coming - shown);
  const seen = {};
  for (const run of rows) for (const name of Object.keys(run.args)) seen[name] = (seen[name] ?? 0) + 1;
  const columns = Object.keys(seen)
    .filter((name) => seen[name] >= rows.length * 0.6)
    .sort((a, b) => seen[b] - seen[a])
    .slice(0, 3);
  return { rows, coming: shown, columns };
}

/** Which rows are near the screen; re-read on scroll and resize. */
function useWindow(length, body) {
  const [span, setSpan] = useState({ first: 0, last: 60, height: 28 });
  useLayoutEffect(() => {
    const look = () => {
      if (!body.current) return;
      const row = body.current.querySelector("tr[data-run]");
      const height = row?.offsetHeight || 28;
      const top = body.current.getBoundingClientRect().top;
      const first = Math.max(0, Math.min(length, Math.floor(-top / height) - SPARE));
      const last = Math.min(length, first + Math.ceil(innerHeight / height) + 2 * SPARE);
      setSpan((old) => (old.first === first && old.last === last && old.height === height ? old : { first, last, height }));
    };
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, [length]);
  return { ...span, last: Math.min(span.last, length) };
}

/** j and k move, Enter opens, r s h act on the row. */
function useKeys(rows, at, setAt) {
  useLayoutEffect(() => {
    const onKey = (event) => {
      if (event.target.closest("input, textarea, select, .dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "j" || event.key === "k") {
        const next = Math.max(0, Math.min(rows.length - 1, at + (event.key === "j" ? 1 : -1)));
        setAt(next);
        document.querySelector(`tr[aria-rowindex="${next + 1}"]`)?.scrollIntoView({ block: "nearest" });
      } else if ((event.key === "Enter" || event.key === "o") && rows[at]) {
        go(`/runs/${rows[at].run_id}`);
      } else if (rows[at]) {
        const verb = verbOf(rows[at], event.key);
        if (verb) operate(rows[at], verb);
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [rows, at]);
}

