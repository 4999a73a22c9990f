// The output of a run, live: lines in a bounded window, colours by class, the end followed.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { newStyle, spans } from "./ansi.js";
import { bytes, count, counted } from "./format.js";
import { stream } from "./stream.js";

// The page keeps the last lines of a long output; the whole is one click away.
const MOST_LINES = 5000;
const FLUSH_MS = 100;

class Lines {
  constructor() {
    this.first = 1;
    this.lines = [];
    this.open = "";
    this.style = newStyle();
    this.decoder = new TextDecoder("utf-8");
  }

  add(text) {
    const parts = (this.open + text).split("\n");
    this.open = parts.pop();
    for (const part of parts) this.lines.push(spans(part, this.style));
    if (this.lines.length > MOST_LINES) {
      const extra = this.lines.length - MOST_LINES;
      this.lines.splice(0, extra);
      this.first += extra;
    }
  }

  shown() {
    return this.open ? [...this.lines, spans(this.open, { ...this.style })] : this.lines;
  }
}

function decoded(lines, message) {
  if (message.b64 === undefined) return message.data ?? "";
  const raw = Uint8Array.from(atob(message.b64), (letter) => letter.charCodeAt(0));
  return lines.decoder.decode(raw, { stream: !message.ended });
}

// What a process prints: one output, and its two streams where they are told apart.
const PRINTED = ["output", "stdout", "stderr"];

/** The ids of what the run's present attempt prints, or has printed. */
function printed(run, outputs) {
  const known = new Set(outputs.filter((one) => one.attempt === run.attempt).map((one) => one.output_id));
  const split = run.program?.output?.streams === "split" && !(run.state in { success: 1, failure: 1, error: 1, skipped: 1 });
  return PRINTED.filter((id) => id === "output" || split || known.has(id));
}

const rawPath = (run, one) =>
  `/api/v2/runs/${run.run_id}/output/${encodeURIComponent(one.output_id)}/raw${one.attempt ? `?attempt=${one.attempt}` : ""}`;

/** Files that were kept when the process was over. */
export function Artifacts({ run, outputs }) {
  const files = outputs.filter((one) => !PRINTED.includes(one.output_id) && one.attempt === run.attempt);
  const remarks = run.meta?.program?.remarks ?? [];
  if (!files.length) return null;
  return html`<section class="sec panel" aria-label="Artifacts">
    <header><h2>Artifacts</h2><span class="sub">${counted(files.length, "file")}</span></header>
    <table class="log">
      <tbody>
        ${files.map(
          (one) => html`<tr key=${one.output_id}>
            <td class="said"><a href=${rawPath(run, one)} download=${one.name.split("/").pop()}>${one.name}</a></td>
            <td class="dim nowrap">${bytes(one.length)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
    ${remarks.map((remark) => html`<p class="faint small pad">${remark}</p>`)}
  </section>`;
}

export function Output({ run, outputs }) {
  const ids = printed(run, outputs);
  const [chosen, setChosen] = useState("output");
  const outputId = ids.includes(chosen) ? chosen : "output";
  const stored = outputs.find((one) => one.output_id === outputId && one.attempt === run.attempt);
  const [state, setState] = useState({ lines: [], first: 1, length: 0, ended: false });
  const [follow, setFollow] = useState(true);
  const [wrap, setWrap] = useState(localStorage.getItem("wrap") !== "no");
  const [needle, setNeedle] = useState("");
  const box = useRef(null);

  useEffect(() => {
    let lines = new Lines();
    let length = 0;
    let ended = false;
    let timer = 0;
    const flush = () => {
      timer = 0;
      setState({ lines: [...lines.shown()], first: lines.first, length, ended });
    };
    const stop = stream.follow({ topic: "output", run_id: run.run_id, output_id: outputId, start: 0 }, (message) => {
      if (message.start === 0 && length > 0) lines = new Lines(); // a new attempt begins anew
      if (message.left_out) lines.add(`\n\u2026 ${bytes(message.left_out)} were left out here \u2026\n`);
      if (message.data !== undefined || message.b64 !== undefined) lines.add(decoded(lines, message));
      length = message.length ?? length;
      ended = Boolean(message.ended);
      if (!timer) timer = setTimeout(flush, FLUSH_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [run.run_id, outputId, run.attempt]);

  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [state, follow]);

  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    setFollow(scrollHeight - scrollTop - clientHeight < 24);
  };
  const hits = useMemo(() => {
    if (!needle) return null;
    const wanted = needle.toLowerCase();
    return state.lines.map((line) => line.map(([, text]) => text).join("").toLowerCase().includes(wanted));
  }, [needle, state.lines]);
  const total = state.lines.length + state.first - 1;

  return html`<section class="out run-out" aria-label="Output">
    <div class="out-bar">
      <div class="seg" role="tablist">
        ${ids.map(
          (id) => html`<button key=${id} role="tab" aria-selected=${id === outputId ? "true" : "false"} onClick=${() => setChosen(id)}>${id}</button>`,
        )}
      </div>
      <span class="grow"></span>
      <input class="field" placeholder="Find" aria-label="Search output" value=${needle} onInput=${(event) => setNeedle(event.target.value)} />
      ${hits && html`<span class="small dim nowrap">${counted(hits.filter(Boolean).length, "line")}</span>`}
      <a class="btn small" href=${rawPath(run, { output_id: outputId })} download=${`${run.run_id}.${outputId}.txt`}>Download</a>
    </div>
    <div class="term-w" tabindex="0" role="log" aria-live="off" aria-label=${`Output of ${run.run_id}`} ref=${box} onScroll=${onScroll}>
      ${state.first > 1 && html`<p class="faint small pad">${count(state.first - 1)} lines before these: download the whole</p>`}
      <ol class=${`lines${wrap ? "" : " nowrap-l"}`}>
        ${state.lines.map(
          (line, index) => html`<li key=${state.first + index} class=${hits?.[index] ? "hit" : ""} data-n=${state.first + index}>
            <span>${line.map(([name, text]) => (name ? html`<span class=${name}>${text}</span>` : text))}</span>
          </li>`,
        )}
      </ol>
      ${state.lines.length === 0 && html`<p class="empty">${state.ended ? "It printed nothing." : run.times?.running ? "Nothing printed yet." : "It has not started yet."}</p>`}
    </div>
    <div class="out-foot">
      <label class="row"><input type="checkbox" class="check" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /> follow the end</label>
      <label class="row hide-s"
        ><input
          type="checkbox"
          class="check"
          checked=${wrap}
          onChange=${(event) => {
            setWrap(event.target.checked);
            localStorage.setItem("wrap", event.target.checked ? "yes" : "no");
          }}
        />
        wrap</label
      >
      <span class="grow"></span>
      ${stored?.truncated && html`<span class="faint" title="Head and tail are kept of a long output.">truncated</span>`}
      <span class="faint">${counted(total, "line")} · ${bytes(state.length)}</span>
      ${!state.ended && run.times?.running && html`<span class="conn">live</span>`}
    </div>
  </section>`;
}
