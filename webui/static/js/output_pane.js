// One output in a pane: its lines drawn by window, the end followed, hits walked through.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { bytes, count, counted, FINISHED } from "./format.js";
import { Lines, marked, matching, searcher } from "./lines.js";
import { usePaper } from "./printing.js";
import { stream } from "./stream.js";

const FLUSH_MS = 100;
const LINE_PX = 18;
// Numbers of more than five digits need more room.
const WIDE_ABOVE = 99_999;
// Lines are drawn in blocks of so many; what is far from the window is only as high as it was.
const BLOCK = 100;
const SPARE_PX = 1200;
// So many lines are printed of an output, from its beginning and from its end.
const PRINTED_HEAD = 2000;
const PRINTED_TAIL = 2000;
// So near the end is at the end.
const NEAR_PX = 24;

export const rawPath = (run, one) =>
  `/api/v2/runs/${run.run_id}/output/${encodeURIComponent(one.output_id)}/raw${one.attempt ? `?attempt=${one.attempt}` : ""}`;

/** A setting of the person's that outlives the page. */
function useKept(name, fallback) {
  const [value, setValue] = useState(() => (localStorage.getItem(name) ?? (fallback ? "yes" : "no")) === "yes");
  const set = (next) => {
    localStorage.setItem(name, next ? "yes" : "no");
    setValue(next);
  };
  return [value, set];
}

/** The lines of an output as they come: `lines` is one object that grows, `turn` tells that it has. */
function useLines(run, outputId) {
  const [state, setState] = useState({ lines: new Lines(), turn: 0, length: 0, ended: false });
  useEffect(() => {
    let lines = new Lines();
    let length = 0;
    let ended = false;
    let timer = 0;
    const flush = () => {
      timer = 0;
      setState((old) => ({ lines, turn: old.turn + 1, length, ended }));
    };
    const stop = stream.follow({ topic: "output", run_id: run.run_id, output_id: outputId, start: 0 }, (message) => {
      if (message.start === 0 && length > 0) lines = new Lines(); // a new attempt begins anew
      if (message.left_out) lines.add(`\n\u2026 ${bytes(message.left_out)} were left out here \u2026\n`);
      if (message.data !== undefined || message.b64 !== undefined) lines.add(lines.decoded(message));
      length = message.length ?? length;
      ended = Boolean(message.ended);
      if (!timer) timer = setTimeout(flush, FLUSH_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [run.run_id, outputId, run.attempt]);
  return state;
}

/** An output; `all`: with a link to all of the run's. */
export function OutputPane({ run, outputs, outputId, tabs, all = false }) {
  const { lines, turn, length, ended } = useLines(run, outputId);
  const stored = outputs.find((one) => one.output_id === outputId && one.attempt === run.attempt);
  // The line that the address names, until it is here and shown; 0: none.
  const aim = useRef(lineOf(location.hash));
  const [follow, setFollow] = useState(!aim.current);
  const [wrap, setWrap] = useKept("wrap", true);
  const [colours, setColours] = useKept("colours", true);
  const [isRaw, setRaw] = useState(false);
  const [needle, setNeedle] = useState("");
  const [isPattern, setPattern] = useState(false);
  const [only, setOnly] = useState(false);
  const [at, setAt] = useState(0);
  const seen = useRef(1);
  // Of a run that was over when it was opened no line is new, though they come one after the other.
  const wasOver = useRef(FINISHED.has(run.state));
  // Where the pane was when last heard of.
  const left = useRef(0);
  const paper = usePaper();
  const box = useRef(null);
  const pattern = useMemo(() => searcher(needle, isPattern), [needle, isPattern]);
  const hits = useMemo(() => matching(lines, pattern), [lines, turn, pattern]);
  const places = only && pattern ? hits : null;
  const total = places ? places.length : lines.length;

  useLayoutEffect(() => {
    // Who has scrolled up a moment ago is not taken back to the end, though the event of it is still to come.
    const pane = box.current;
    if (pane) left.current = Math.min(left.current, pane.scrollHeight - pane.clientHeight);
    if (follow && pane && pane.scrollTop >= left.current - NEAR_PX) {
      pane.scrollTop = pane.scrollHeight;
      left.current = pane.scrollTop;
      seen.current = lines.first + lines.length;
    }
  });
  const goTo = (index) => {
    if (!hits.length) return;
    const next = (index + hits.length) % hits.length;
    setAt(next);
    setFollow(false);
    showLine(box.current, places ? next : hits[next], total, lines.first + hits[next]);
  };
  // When the oldest lines go, what is being read stays where it is.
  const firstWas = useRef(lines.first);
  const read = !follow && !places && lines.first > firstWas.current ? topLine(box.current) : null;
  useLayoutEffect(() => {
    firstWas.current = lines.first;
    if (read) showLine(box.current, Math.max(0, read.number - lines.first), total, read.number, read.below);
  }, [lines.first]);
  const toAim = () => {
    if (!aim.current || places || (lines.first + lines.length <= aim.current && !ended)) return;
    const number = Math.max(lines.first, Math.min(aim.current, lines.first + lines.length - 1));
    aim.current = 0;
    showLine(box.current, number - lines.first, total, number);
  };
  useEffect(toAim, [turn]);
  useEffect(() => {
    const onHash = () => {
      aim.current = lineOf(location.hash);
      if (!aim.current) return;
      setFollow(false);
      toAim();
    };
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  });
  // An event may still come when the pane is gone.
  const onScroll = ({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
    left.current = scrollTop;
    setFollow(scrollHeight - scrollTop - clientHeight < NEAR_PX);
  };
  const onFind = (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      goTo(event.shiftKey ? at - 1 : at + (needle === event.target.dataset.last ? 1 : 0));
      event.target.dataset.last = needle;
    } else if (event.key === "Escape" && needle) {
      event.stopPropagation();
      setNeedle("");
    }
  };
  const onKey = (event) => {
    if (event.target.closest("input")) return;
    if (event.key === "f" && !event.ctrlKey && !event.metaKey) setFollow(true);
    else if ((event.key === "f" && (event.ctrlKey || event.metaKey)) || event.key === "/") box.current.parentElement.querySelector("input.find").focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const behind = follow || wasOver.current ? 0 : lines.first + lines.length - seen.current;
  return html`<section class=${`out run-out${colours ? "" : " plain"}`} aria-label=${`Output ${outputId}`} onKeyDown=${onKey}>
    <div class="out-bar">
      ${tabs}
      <span class="grow"></span>
      ${needle && html`<span class="small dim nowrap" data-hits>${pattern ? (hits.length ? `${count(Math.min(at, hits.length - 1) + 1)} of ${count(hits.length)}` : "none") : "no valid pattern"}</span>`}
      <input class=${`field find${needle && !pattern ? " bad" : ""}`} placeholder="Find" aria-label="Search output" value=${needle} onKeyDown=${onFind} onInput=${(event) => {
        setNeedle(event.target.value);
        setAt(0);
      }} />
      ${needle &&
      html`<button class="btn small" aria-pressed=${isPattern ? "true" : "false"} title="regular expression" onClick=${() => setPattern(!isPattern)}>.*</button>
        <button class="btn small" aria-pressed=${only ? "true" : "false"} onClick=${() => setOnly(!only)}>only these</button>`}
      <a class="btn small" href=${rawPath(run, { output_id: outputId })} download=${downloadName(run, outputId)}>Download</a>
      ${all && html`<a class="btn small" href=${`/api/v2/runs/${run.run_id}/outputs.zip`} download title="All outputs and artifacts, of all attempts">All as zip</a>`}
    </div>
    <div class=${`term-w${wrap || paper ? "" : " nowrap-w"}`} tabindex="0" role="log" aria-live="off" aria-label=${`Output of ${run.run_id}`} ref=${box} onScroll=${onScroll}>
      ${lines.first > 1 && html`<p class="faint small pad">${count(lines.first - 1)} lines before these: download the whole</p>`}
      ${paper
        ? html`<${Whole} lines=${lines} places=${places} total=${total} isRaw=${isRaw} pattern=${pattern} />`
        : html`<${Window} box=${box} lines=${lines} turn=${turn} places=${places} total=${total} wrap=${wrap} isRaw=${isRaw} pattern=${pattern} current=${places ? places[at] : hits[at]} />`}
      ${total === 0 && html`<p class="empty">${only && needle ? "No line matches." : ended ? "It printed nothing." : run.times?.running ? "Nothing printed yet." : "It has not started yet."}</p>`}
    </div>
    ${behind > 0 && html`<button class="btn small behind" onClick=${() => setFollow(true)}>${counted(behind, "new line")} ↓</button>`}
    <div class="out-foot">
      <${Check} on=${follow} set=${setFollow}>follow the end<//>
      <${Check} on=${colours} set=${setColours} className="hide-s">colours<//>
      <${Check} on=${wrap} set=${setWrap} className="hide-s">wrap<//>
      <${Check} on=${isRaw} set=${setRaw}>raw<//>
      <span class="grow"></span>
      ${stored?.truncated && html`<span class="faint" title="Head and tail are kept of a long output.">truncated</span>`}
      <span class="faint">${counted(lines.length + lines.first - 1, "line")} · ${bytes(length)}</span>
      ${!ended && run.times?.running && html`<span class="conn">live</span>`}
    </div>
  </section>`;
}

function Check({ on, set, className = "", children }) {
  return html`<label class=${`row ${className}`}><input type="checkbox" class="check" checked=${on} onChange=${(event) => set(event.target.checked)} /> ${children}</label>`;
}

function downloadName(run, outputId) {
  const args = Object.values(run.args).map((value) => `.${value}`);
  return `${run.job_id.replaceAll("/", "-")}${args.join("")}.${run.run_id}.${outputId}.txt`.replace(/[^\w.=-]+/g, "_");
}

/** The line that a fragment names; 0: none. @param {string} hash */
const lineOf = (hash) => Number(/^#L(\d+)$/.exec(hash)?.[1] ?? 0);

/** Bring a line into the middle of a pane, or to so many pixels below its top: first about where it is, then, once it is
 *  drawn, exactly. */
function showLine(box, place, total, number, below = box?.clientHeight / 2) {
  const list = box?.querySelector("ol.lines");
  if (!list || !total) return;
  box.scrollTop = (place / total) * list.offsetHeight - below;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const line = list.querySelector(`li[data-n="${number}"]`);
      if (line) box.scrollTop += line.getBoundingClientRect().top - box.getBoundingClientRect().top - below;
    }),
  );
}

/** The line at the top of a pane, and how far below it. */
function topLine(box) {
  const { top } = box.getBoundingClientRect();
  const line = [...box.querySelectorAll("ol.lines li[data-n]")].find((one) => one.getBoundingClientRect().bottom > top);
  return line && { number: Number(line.dataset.n), below: line.getBoundingClientRect().top - top };
}

/** All lines, for paper; of very many the first and the last, and how many are not there. */
function Whole({ lines, places, total, isRaw, pattern }) {
  const some = (from, upto) => Array.from({ length: upto - from }, (_, index) => html`<${Line} key=${from + index} place=${places ? places[from + index] : from + index} lines=${lines} isRaw=${isRaw} pattern=${pattern} />`);
  const out = total - PRINTED_HEAD - PRINTED_TAIL;
  if (out <= 0) return html`<ol class="lines">${some(0, total)}</ol>`;
  return html`<ol class="lines">
    ${some(0, PRINTED_HEAD)}
    <li key="out" data-n="⋮"><i>${counted(out, "line")} left out here: the download has all.</i></li>
    ${some(total - PRINTED_TAIL, total)}
  </ol>`;
}

function Line({ place, lines, isRaw, pattern, current = undefined, own = undefined }) {
  const number = lines.first + place;
  return html`<li ref=${own} class=${place === current ? "hit" : ""} data-n=${number}>
    <span>${isRaw ? lines.raw(place) : drawn(lines.line(place), pattern)}</span>
  </li>`;
}

/** Blocks of lines; those far from what is seen are spaces of the height they had. */
function Window({ box, lines, turn, places, total, wrap, isRaw, pattern, current }) {
  const heights = useRef(new Map());
  const [view, setView] = useState({ top: 0, bottom: 2000 });
  const blocks = Math.ceil(total / BLOCK);
  const key = `${wrap} ${isRaw} ${places ? "only" : "all"} ${lines.first}`;
  useEffect(() => heights.current.clear(), [key]);
  useLayoutEffect(() => {
    const pane = box.current;
    const look = () => {
      const top = pane.scrollTop - SPARE_PX;
      const bottom = pane.scrollTop + pane.clientHeight + SPARE_PX;
      setView((old) => (Math.abs(old.top - top) < LINE_PX * 4 && Math.abs(old.bottom - bottom) < LINE_PX * 4 ? old : { top, bottom }));
    };
    look();
    pane.addEventListener("scroll", look, { passive: true });
    return () => pane.removeEventListener("scroll", look);
  }, [turn === 0]);
  let y = 0;
  return html`<ol class=${`lines${wrap ? "" : " nowrap-l"}${lines.first + lines.length > WIDE_ABOVE ? " wide-l" : ""}`}>
    ${Array.from({ length: blocks }, (_, block) => {
      const from = block * BLOCK;
      const upto = Math.min(total, from + BLOCK);
      const high = heights.current.get(block) ?? (upto - from) * LINE_PX;
      const isNear = y + high > view.top && y < view.bottom;
      y += high;
      const isLast = block === blocks - 1;
      if (!isNear && !isLast) return html`<li class="space" key=${`s${block}`} aria-hidden="true" ref=${(node) => node && (node.style.height = `${high}px`)}></li>`;
      return html`<${Block} key=${`b${block}`} block=${block} heights=${heights} lines=${lines} places=${places} from=${from} upto=${upto} isRaw=${isRaw} pattern=${pattern} current=${current} />`;
    })}
  </ol>`;
}

function Block({ block, heights, lines, places, from, upto, isRaw, pattern, current }) {
  const first = useRef(null);
  useLayoutEffect(() => {
    if (upto - from < BLOCK || !first.current) return;
    let end = first.current;
    for (let n = from + 1; n < upto && end.nextElementSibling; n += 1) end = end.nextElementSibling;
    const high = end.offsetTop + end.offsetHeight - first.current.offsetTop;
    if (high > 0) heights.current.set(block, high);
  });
  return Array.from({ length: upto - from }, (_, index) => {
    const place = places ? places[from + index] : from + index;
    return html`<${Line} key=${lines.first + place} own=${index === 0 ? first : undefined} place=${place} lines=${lines} isRaw=${isRaw} pattern=${pattern} current=${current} />`;
  });
}

function drawn(line, pattern) {
  return marked(line, pattern).map(([name, text, hit]) => {
    const shown = hit ? html`<mark>${text}</mark>` : text;
    return name ? html`<span class=${name}>${shown}</span>` : shown;
  });
}
