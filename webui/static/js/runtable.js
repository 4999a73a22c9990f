// The table of a long list of runs: a window of rows over the whole of it, one row with the keyboard.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { clock, count, counted, dayOfYear, due, inUtc, shownPrecision } from "./format.js";
import { oncePainted } from "./pace.js";
import { ZoneName } from "./parts.js";
import { usePaper, usePrinted } from "./printing.js";
import { useRowKeys } from "./rowkeys.js";
import { RunRow } from "./runrow.js";
import { Lines } from "./runlines.js";
import { AHEAD_SHOWN } from "./longlist.js";
import { stream, useNow } from "./stream.js";

const SPARE = 12;
const STEP = 8;
const MOST_COLUMNS = 4;
const SHARED = 0.6;
const LEFT_MS = 2000;
const ROW_PX = 28;
// Of a row that is one cell: no more than the narrowest table has; what is in it reaches beyond.
const FEW_COLUMNS = 4;
const FAR_PX = 300;
// Rows that are put on paper, from the first: some twenty sheets.
const PRINTED = 1000;

export function RunTable({ list, dim, rising, groups, group, toggle, q, picks, setPicks, turn }) {
  useNow(); // what is still to come changes with each second
  const [all, setAll] = useState(false);
  const [opened, setOpened] = useState(new Set());
  const [at, setAt] = useState(/** @type {string | null} */ (null));
  const body = useRef(null);
  list.settle(stream.now());
  const now = list.nowAtRead;
  const skip = rising || all || list.ahead === list.total ? 0 : Math.max(0, list.ahead - AHEAD_SHOWN);
  const lines = useMemo(() => new Lines(list.rows, groups ? list.reruns.values() : [], skip, opened), [list, list.rows, list.version, skip, groups, opened]);
  const paper = usePaper();
  const window_ = useWindow(lines.length, body, list.loading ? "" : list.key);
  const span = paper ? { first: 0, last: Math.min(lines.length, PRINTED), height: window_.height } : window_;
  usePrinted(
    () => list.need(skip, skip + PRINTED),
    () => Boolean(list.error) || (!list.loading && lines.slice(0, PRINTED).every((line) => line.run)),
  );
  const seen = lines.slice(span.first, span.last).map((line) => line.run).filter(Boolean);
  const columns = useColumns(seen, q);
  useLayoutEffect(() => {
    if (list.loading) return;
    const first = lines.get(span.first)?.at ?? skip;
    const last = (lines.get(Math.min(span.last, lines.length) - 1)?.at ?? first) + 1;
    list.look(first, last);
  }, [list, list.version, span.first, span.last, skip, lines.length]);
  useReading(list, body);
  const flip = (id) => setOpened((old) => new Set(old.has(id) ? [...old].filter((one) => one !== id) : [...old, id]));
  useRowKeys({ lines, at, setAt, span, body, picks, setPicks, toggle, group, flip });
  const nowAt = lines.indexAt(list.rows.seek((run) => (due(run) <= now) === rising ? -1 : 1));
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
  const shown = lines.slice(span.first, span.last).map((line) => {
    const { run, sub, others } = line;
    const id = run?.run_id;
    return run
      ? html`<${RunRow} key=${id} run=${run} sub=${sub} others=${others} columns=${columns} usual=${list.usual.of(run.job_id, now)} here=${id === at} picked=${picks.has(id)} open=${opened.has(id)} hour=${hour} utc=${inUtc()} precision=${shownPrecision()} />`
      : html`<tr key=${`none-${line.at}`} class="unread" aria-hidden="true"><td colspan=${FEW_COLUMNS} style=${{ height: `${span.height}px` }}></td></tr>`;
  });
  useNumbers(body, span.first);
  if (nowAt > 0 && nowAt >= span.first && nowAt < span.last) shown.splice(nowAt - span.first, 0, html`<${NowRow} key="now" columns=${FEW_COLUMNS} />`);
  const every = picks.size > 0 && picks.size >= list.rows.known - lines.folded - skip && lines.runs().every((run) => picks.has(run.run_id));
  // Unseen before its first rows: what comes above them would push the head down.
  const unseen = list.loading && !list.rows.known;
  return html`<div class=${`panel list-w${dim ? " dimmed" : ""}${unseen ? " unseen" : ""}`} aria-busy=${dim || list.loading}>
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
    <p class="print-only small dim">${lines.length > PRINTED ? `The first ${count(PRINTED)} of ${counted(list.total, "run")}` : counted(list.total, "run")}${q && ` with ${q}`}. Printed ${dayOfYear(now)} ${clock(now)} <${ZoneName} />.</p>
  </div>`;
}

/** Each row says which of all it is. Those that move on by others that come are not drawn anew for it. */
function useNumbers(body, first) {
  useLayoutEffect(() => {
    let place = first;
    for (const row of body.current.rows) {
      if (row.matches(".pad-row, .nowrow")) continue;
      place += 1;
      if (row.dataset.run && row.getAttribute("aria-rowindex") !== String(place)) row.setAttribute("aria-rowindex", String(place));
    }
  });
}

/** What clicks on rows do, and what the pointer is told of a value before it. */
function rowClicks({ lines, q, toggle, mark, flip }) {
  const runOf = (event) => {
    const id = event.target.closest("tr[data-run]")?.dataset.run;
    return lines.get(lines.indexOf(id))?.run;
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
  const ends = [from, to].map((id) => lines.indexOf(id)).sort((a, b) => a - b);
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
    const at = body.current;
    list.reading = () => over;
    list.watched = () => over || Boolean(at?.contains(document.activeElement));
    at?.addEventListener("pointerenter", enter);
    at?.addEventListener("pointerleave", leave);
    return () => {
      clearTimeout(timer);
      at?.removeEventListener("pointerenter", enter);
      at?.removeEventListener("pointerleave", leave);
    };
  }, [list]);
}

/** Which rows are near the screen; looked at again on scroll and resize, in steps. `shown`: of what the rows are; those
 *  beyond the screen come once the others of it have been painted.
 *  @param {number} length @param {{current: HTMLElement | null}} body @param {string} shown */
function useWindow(length, body, shown) {
  const [span, setSpan] = useState(() => spanOf(0, Math.floor(innerHeight / ROW_PX / STEP) * STEP, ROW_PX));
  const [painted, setPainted] = useState("");
  const many = useRef(length);
  const look = useRef(() => {});
  const measured = useRef(() => {});
  many.current = length;
  useLayoutEffect(() => {
    const page = { height: ROW_PX, top: 0, scrolled: 0, high: 0 };
    // To ask the page is to lay out whatever has just come: it is asked where that has been done anyway.
    const measure = () => {
      if (!body.current || !many.current) return; // nothing of it is seen before there are rows
      const row = /** @type {HTMLElement | null} */ (body.current.querySelector("tr[data-run]"));
      page.height = row?.offsetHeight || page.height;
      page.scrolled = scrollY;
      page.top = body.current.getBoundingClientRect().top + page.scrolled;
      page.high = innerHeight;
    };
    look.current = () => {
      if (!many.current) return;
      const { height, top, scrolled, high } = page;
      const next = spanOf((scrolled - top) / height, (scrolled - top + high) / height, height);
      setSpan((old) => (Object.keys(next).every((name) => next[name] === old[name]) ? old : next));
    };
    const onScroll = () => {
      page.scrolled = scrollY;
      look.current();
    };
    const onResize = () => {
      measure();
      look.current();
    };
    measured.current = onResize;
    // The page grows with its rows, and with what stands above them.
    const seen = new ResizeObserver(() => {
      measure();
      requestAnimationFrame(look.current);
    });
    seen.observe(document.body);
    addEventListener("scroll", onScroll, { passive: true });
    addEventListener("resize", onResize);
    return () => {
      seen.disconnect();
      removeEventListener("scroll", onScroll);
      removeEventListener("resize", onResize);
    };
  }, []);
  useLayoutEffect(() => measured.current(), [length > 0]);
  useLayoutEffect(() => look.current(), [length]);
  useLayoutEffect(() => oncePainted(() => setPainted(shown)), [shown]);
  const { from, to, height } = span;
  const [first, last] = painted === shown ? [span.first, span.last] : [from, to];
  return { first: Math.min(first, length), last: Math.min(last, length), height };
}

/** Which rows to draw where these are on the screen, with spare ones and without (`from`, `to`). */
function spanOf(top, end, height) {
  const before = (row) => Math.max(0, Math.floor(row / STEP) * STEP);
  const behind = (row) => Math.max(0, Math.ceil(row / STEP) * STEP);
  return { first: before(top - SPARE), from: before(top), to: behind(end), last: behind(end + SPARE), height };
}
