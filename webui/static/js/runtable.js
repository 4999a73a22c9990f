// The table of a long list of runs: a window of rows over the whole of it, one row with the keyboard.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { clock, count, due } from "./format.js";
import { useRowKeys } from "./rowkeys.js";
import { RunRow, usualOf } from "./runrow.js";
import { AHEAD_SHOWN } from "./longlist.js";
import { useNow } from "./stream.js";

const SPARE = 12;
const STEP = 8;
const MOST_COLUMNS = 4;
const SHARED = 0.6;
const LEFT_MS = 2000;
const ROW_PX = 28;
// Of a row that is one cell: no more than the narrowest table has; what is in it reaches beyond.
const FEW_COLUMNS = 4;
const FAR_PX = 300;

/** Rows as they are drawn: `at` their place in the list, `sub` a run that stands below the newer one of its instance.
 *  @typedef {{run: any, at: number, sub: boolean, others: number}} Line */

export function RunTable({ list, dim, rising, groups, group, toggle, q, picks, setPicks, turn }) {
  const now = useNow();
  const [all, setAll] = useState(false);
  const [opened, setOpened] = useState(new Set());
  const [at, setAt] = useState(/** @type {string | null} */ (null));
  const body = useRef(null);
  list.settle(now);
  const skip = rising || all || list.ahead === list.total ? 0 : Math.max(0, list.ahead - AHEAD_SHOWN);
  const lines = useMemo(() => new Lines(list.rows, skip, groups, opened), [list, list.rows, list.version, skip, groups, opened]);
  const span = useWindow(lines.length, body);
  const usual = useMemo(() => usualOf(list.rows), [list, list.loading, Math.floor(list.version / 20)]);
  const seen = lines.slice(span.first, span.last).map((line) => line.run).filter(Boolean);
  const columns = useColumns(seen, q);
  useLayoutEffect(() => {
    if (list.loading) return;
    const first = lines.get(span.first)?.at ?? skip;
    const last = (lines.get(Math.min(span.last, lines.length) - 1)?.at ?? first) + 1;
    list.view = { first, last };
    list.need(first, last);
  }, [list, list.version, span.first, span.last, skip, lines.length]);
  useReading(list, body);
  const flip = (id) => setOpened((old) => new Set(old.has(id) ? [...old].filter((one) => one !== id) : [...old, id]));
  useRowKeys({ lines, at, setAt, span, body, picks, setPicks, toggle, group, flip });
  const nowAt = lines.findIndex((run, line) => !line?.sub && (rising ? due(run) > now : due(run) <= now));
  const ahead = rising ? 0 : skip;
  const mark = (run, shift) => {
    const next = new Map(picks);
    if (shift && at) pickBetween(next, lines, at, run.run_id);
    else if (!next.delete(run.run_id)) next.set(run.run_id, run);
    setAt(run.run_id);
    setPicks(next);
  };
  const clicks = rowClicks({ lines, q, toggle, mark, flip });
  const hour = Math.floor(now / 3600e3);
  // One flat list of keyed rows: what scrolls stays, only what comes is made.
  const shown = lines.slice(span.first, span.last).map((line, offset) => {
    const id = line.run?.run_id;
    return line.run
      ? html`<${RunRow} key=${id} line=${line} index=${span.first + offset} columns=${columns} usual=${usual.get(line.run.job_id)} here=${id === at} picked=${picks.has(id)} open=${opened.has(id)} hour=${hour} />`
      : html`<tr key=${`none-${line.at}`} class="unread" aria-hidden="true"><td colspan=${FEW_COLUMNS} style=${{ height: `${span.height}px` }}></td></tr>`;
  });
  if (nowAt > 0 && nowAt >= span.first && nowAt < span.last) shown.splice(nowAt - span.first, 0, html`<${NowRow} key="now" columns=${FEW_COLUMNS} />`);
  const every = picks.size > 0 && lines.runs().every((run) => picks.has(run.run_id));
  return html`<div class=${`panel list-w${dim ? " dimmed" : ""}`} aria-busy=${dim || list.loading}>
    <${NewRows} list=${list} />
    ${ahead > 0 && html`<button class="new-rows" onClick=${() => setAll(true)}>${count(ahead)} more coming, show</button>`}
    <table class=${`runs stack long args-${columns.length}`} aria-rowcount=${lines.length} aria-label="Runs">
      <thead>
        <tr>
          <th class="hide-s"><input type="checkbox" class="check" aria-label="Pick all rows that have been read" checked=${every} onChange=${() => setPicks(every ? new Map() : new Map(lines.runs().map((run) => [run.run_id, run])))} /></th>
          <th>State</th>
          <th>Job</th>
          ${columns.map((name) => html`<th class="hide-m" title=${name}>${name}</th>`)}
          <th class="num" aria-sort=${rising ? "ascending" : "descending"}><button class="link" title="the other way round" onClick=${turn}>Scheduled</button></th>
          <th class="num">Late</th>
          <th class="num">Elapsed</th>
          <th class="hide-m">Agent</th>
          <th>Why, or result</th>
          <th class="hide-xl">Labels</th>
          <th class="num">Run</th>
        </tr>
      </thead>
      <tbody ref=${body} ...${clicks}>
        <${Pad} rows=${span.first} height=${span.height} />
        ${shown}
        <${Pad} rows=${lines.length - span.last} height=${span.height} />
      </tbody>
    </table>
  </div>`;
}

/** What clicks on rows do, and what the pointer is told of a value before it. */
function rowClicks({ lines, q, toggle, mark, flip }) {
  const runOf = (event) => {
    const id = event.target.closest("tr[data-run]")?.dataset.run;
    return lines.get(lines.findIndex((run) => run.run_id === id))?.run;
  };
  return {
    onClick: (event) => {
      const of = event.target.closest("[data-term]")?.dataset.term;
      if (of) toggle(of, { not: event.altKey, widen: event.ctrlKey || event.metaKey });
      else if (event.target.closest("[role=checkbox]")) mark(runOf(event), event.shiftKey);
      else if (event.target.closest(".grp")) flip(runOf(event).run_id);
    },
    onPointerOver: (event) => {
      const value = event.target.closest("[data-term]");
      if (value) value.title = `click: ${q.split(" ").includes(value.dataset.term) ? "any, not" : "only"} ${value.dataset.term} · Alt-click: without`;
    },
  };
}

/** The lines to draw: of several runs of one instance the active or newest, the others folded below it. Where
 *  nothing is folded, which is nearly always, a line is made when it is looked at and not before. */
class Lines {
  /** @param {any[]} rows @param {number} skip @param {boolean} groups @param {Set<string>} opened */
  constructor(rows, skip, groups, opened) {
    this.rows = rows;
    this.skip = skip;
    this.length = Math.max(0, rows.length - skip);
    const heads = new Map(groups ? [...foldsOf(rows)].filter(([, group]) => group.length > 1).map(([, group]) => [group[0].run_id, group]) : []);
    /** @type {Line[] | null} */
    this.made = heads.size ? made(rows, skip, heads, opened) : null;
    if (this.made) this.length = this.made.length;
  }

  /** @param {number} index @returns {Line | undefined} */
  get(index) {
    if (index < 0 || index >= this.length) return undefined;
    return this.made ? this.made[index] : { run: this.rows[this.skip + index], at: this.skip + index, sub: false, others: 0 };
  }

  /** @param {number} first @param {number} last @returns {Line[]} */
  slice(first, last) {
    return Array.from({ length: Math.max(0, Math.min(last, this.length) - first) }, (_, i) => /** @type {Line} */ (this.get(first + i)));
  }

  /** @param {(run: any, line: Line) => boolean} fits of rows that are there @returns {number} */
  findIndex(fits) {
    for (let index = 0; index < this.length; index += 1) {
      const run = this.made ? this.made[index].run : this.rows[this.skip + index];
      if (run && fits(run, /** @type {Line} */ (this.made?.[index]))) return index;
    }
    return -1;
  }

  /** The runs of all rows that are there. */
  runs() {
    return (this.made ? this.made.map((line) => line.run) : this.rows.slice(this.skip)).filter(Boolean);
  }
}

function made(rows, skip, heads, opened) {
  const lines = [];
  const under = new Set([...heads.values()].flatMap((group) => group.slice(1).map((run) => run.run_id)));
  for (let at = skip; at < rows.length; at += 1) {
    const run = rows[at];
    if (run && under.has(run.run_id)) continue;
    const group = run && heads.get(run.run_id);
    lines.push({ run, at, sub: false, others: group ? group.length : 0 });
    if (group && opened.has(run.run_id)) for (const other of group.slice(1)) lines.push({ run: other, at, sub: true, others: 0 });
  }
  return lines;
}

const ACTIVE = new Set(["waiting", "starting", "running", "stopping"]);

/** Runs by the first of their chain of reruns, the one to be shown first. An active run is never folded away. */
function foldsOf(rows) {
  const have = new Map();
  let any = false;
  for (const run of rows) {
    if (!run) continue;
    have.set(run.run_id, run);
    any ||= Boolean(run.rerun_of);
  }
  const groups = new Map();
  if (!any) return groups;
  for (const run of have.values()) {
    let root = run;
    while (root.rerun_of && have.has(root.rerun_of)) root = have.get(root.rerun_of);
    const key = root.rerun_of ?? root.run_id;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  for (const group of groups.values()) {
    group.sort((a, b) => Number(ACTIVE.has(b.state)) - Number(ACTIVE.has(a.state)) || Number(b.run_id.slice(1)) - Number(a.run_id.slice(1)));
    const idle = group.filter((run, i) => i === 0 || !ACTIVE.has(run.state));
    group.splice(0, group.length, ...idle);
  }
  return groups;
}

/** Args that most of the page shares, or that one job has, as columns; those that are asked for stay. */
function useColumns(seen, q) {
  const kept = useRef({ q, names: [] });
  const tally = {};
  for (const run of seen) for (const name of Object.keys(run.args)) tally[name] = (tally[name] ?? 0) + 1;
  const fresh = Object.keys(tally)
    .filter((name) => tally[name] >= seen.length * SHARED)
    .sort((a, b) => tally[b] - tally[a] || (a < b ? -1 : 1))
    .slice(0, MOST_COLUMNS);
  // Columns do not come and go under the eye while one scrolls: only with another query, or when there are none.
  if (kept.current.q !== q || (!kept.current.names.length && fresh.length)) kept.current = { q, names: seen.length ? fresh : [] };
  return kept.current.names;
}

function pickBetween(next, lines, from, to) {
  const ends = [from, to].map((id) => lines.findIndex((run) => run.run_id === id)).sort((a, b) => a - b);
  for (const line of lines.slice(ends[0], ends[1] + 1)) if (line.run) next.set(line.run.run_id, line.run);
}

/** How many rows came above what is read; a click leads to them. */
function NewRows({ list }) {
  const [far, setFar] = useState(false);
  useLayoutEffect(() => {
    const look = () => setFar(scrollY > FAR_PX);
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, []);
  if (!far) list.fresh = 0;
  if (!far || !list.fresh) return null;
  return html`<button class="new-rows afloat" onClick=${() => scrollTo({ top: 0 })}>${count(list.fresh)} new, show</button>`;
}

function NowRow({ columns }) {
  const now = useNow();
  return html`<tr class="nowrow" aria-hidden="true">
    <td colspan=${columns}><div>${clock(now)} now</div></td>
  </tr>`;
}

function Pad({ rows, height }) {
  return rows > 0 && html`<tr class="pad-row" aria-hidden="true"><td colspan=${FEW_COLUMNS} style=${{ height: `${rows * height}px` }}></td></tr>`;
}

/** While the pointer is on the list, or was a moment ago, no row goes. */
function useReading(list, body) {
  useEffect(() => {
    let over = false;
    let timer = 0;
    const enter = () => {
      clearTimeout(timer);
      over = true;
    };
    const leave = () => {
      timer = setTimeout(() => {
        over = false;
        list.sweep();
        list.tell();
      }, LEFT_MS);
    };
    list.reading = () => over;
    const at = body.current;
    at?.addEventListener("pointerenter", enter);
    at?.addEventListener("pointerleave", leave);
    return () => {
      clearTimeout(timer);
      at?.removeEventListener("pointerenter", enter);
      at?.removeEventListener("pointerleave", leave);
    };
  }, [list]);
}

/** Which rows are near the screen; looked at again on scroll and resize, in steps. */
function useWindow(length, body) {
  const [span, setSpan] = useState({ first: 0, last: 64, height: ROW_PX });
  const measured = useRef(0);
  const begins = useRef(/** @type {number | null} */ (null));
  useLayoutEffect(() => {
    const look = () => {
      if (!body.current) return;
      const height = (measured.current ||= body.current.querySelector("tr[data-run]")?.offsetHeight ?? 0) || ROW_PX;
      // Where the rows begin is not asked for at each step: the answer would lay out what has just come.
      const top = (begins.current ??= body.current.getBoundingClientRect().top + scrollY) - scrollY;
      const near = Math.floor((Math.floor(-top / height) - SPARE) / STEP) * STEP;
      const first = Math.max(0, Math.min(length, near));
      const last = Math.max(0, near) + Math.ceil((innerHeight / height + 2 * SPARE + STEP) / STEP) * STEP;
      setSpan((old) => (old.first === first && old.last === last && old.height === height ? old : { first, last, height }));
    };
    const again = () => {
      measured.current = 0;
      begins.current = null;
      look();
    };
    again();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", again);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", again);
    };
  }, [length]);
  return { ...span, last: Math.min(span.last, length) };
}
