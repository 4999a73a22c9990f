// The server's log, live: cleared and read anew after a loss, which it says; the end is followed.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./preact.js";
import { clock, clockMs, counted, duration } from "./format.js";
import { may } from "./session.js";
import { stream } from "./stream.js";
import { done } from "./toast.js";

const MOST = 2000;
const FLUSH_MS = 150;
const LEVELS = { all: [], warn: ["info", "debug"], error: ["info", "debug", "warning"] };

/** Lines of the log, and what came between them: each {key, line} or {key, said}. */
function useLog() {
  const [turn, setTurn] = useState(/** @type {any} */ (0));
  const [state, setState] = useState({ lines: [], error: "" });
  const lost = useRef(null);
  useEffect(() => {
    const watch = (status) => {
      if (status !== "live") lost.current ??= stream.lastMs;
      else if (lost.current !== null) {
        const missing = (Date.now() - lost.current) / 1000;
        lost.current = null;
        setTurn({ at: Date.now(), missing });
        done("The server's log is here again", `after ${duration(missing)} without it; cleared and read anew`);
      }
    };
    stream.watchers.add(watch);
    return () => stream.watchers.delete(watch);
  }, []);
  useEffect(() => {
    const begun = turn ? [{ key: `turn ${turn.at}`, said: `reconnected ${clock(turn.at)}, ${duration(turn.missing)} missing` }] : [];
    let coming = [];
    let first = true;
    let timer = 0;
    setState({ lines: [], error: "" });
    const flush = () => {
      timer = 0;
      const added = coming;
      coming = [];
      setState((old) => ({ ...old, lines: [...old.lines, ...added].slice(-MOST) }));
    };
    const stop = stream.follow({ topic: "log" }, (message) => {
      if (message.error) setState({ lines: [], error: message.error });
      if (!message.log) return;
      for (const line of message.log) {
        if (line.lost) coming.push({ key: `lost ${line.seq}`, said: `${counted(line.lost, "line")} more in the server's own log only` });
        coming.push({ key: line.seq, line });
      }
      // What was kept comes first; the divider stands between it and what is new.
      if (first) coming.push(...begun);
      first = false;
      if (!timer) timer = setTimeout(flush, FLUSH_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [turn]);
  const clear = () => setState((old) => ({ ...old, lines: [] }));
  return { ...state, clear };
}

export function ServerLog() {
  if (!may("admin")) return html`<section class="panel" aria-label="Server log"><header><h2>Server log</h2></header><p class="empty slim">Reading it takes the role admin.</p></section>`;
  return html`<${Log} />`;
}

function Log() {
  const { lines, error, clear } = useLog();
  const [level, setLevel] = useState("all");
  const [needle, setNeedle] = useState("");
  const [follow, setFollow] = useState(true);
  const box = useRef(null);
  const hidden = LEVELS[level];
  const wanted = needle.toLowerCase();
  const shown = lines.filter(({ line }) => !line || (!hidden.includes(line.level) && (!wanted || `${line.part} ${line.message}`.toLowerCase().includes(wanted))));
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  });
  const onScroll = ({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
    setFollow(scrollHeight - scrollTop - clientHeight < 24);
  };
  return html`<section class="out server-log" aria-label="Server log">
    <div class="out-bar">
      <h2>Server log</h2>
      <div class="seg" role="group" aria-label="Level">${Object.keys(LEVELS).map((name) => html`<button key=${name} aria-pressed=${level === name ? "true" : "false"} onClick=${() => setLevel(name)}>${name}</button>`)}</div>
      <input class="field" placeholder="find" aria-label="Find in the log" value=${needle} onInput=${(event) => setNeedle(event.target.value)} />
      <span class="grow"></span>
      <button class="btn small" onClick=${clear}>Clear</button>
    </div>
    <div class="term-w" tabindex="0" role="log" aria-live="off" aria-label="Lines of the server's log" ref=${box} onScroll=${onScroll}>
      <ol class="lines log-l">
        ${shown.map(({ key, line, said }) => (line ? html`<${Line} key=${key} line=${line} />` : html`<li class="divider" key=${key}><span>${said}</span></li>`))}
      </ol>
      ${shown.length === 0 && html`<p class="empty slim">${error || "No lines."}</p>`}
    </div>
    <div class="out-foot">
      <label class="row"><input type="checkbox" class="check" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /> follow the end</label>
      <span class="grow"></span><span class="faint">${counted(shown.length, "line")}</span><span class="conn">live</span>
    </div>
  </section>`;
}

const COLOUR = { warning: "a-yellow a-bold", error: "a-red a-bold", critical: "a-red a-bold" };

function Line({ line }) {
  const word = line.level === "warning" ? "warn" : line.level;
  return html`<li data-level=${line.level}>
    <time datetime=${line.time}>${clockMs(Date.parse(line.time))}</time>
    <span><span class=${COLOUR[line.level] ?? "a-dim"}>${word.padEnd(6)}</span><span class="a-dim">${String(line.part ?? line.logger ?? "").padEnd(11)}</span>${line.message}${line.traceback && html`<span class="a-dim">${`\n${line.traceback}`}</span>`}</span>
  </li>`;
}
