// Ad hoc run: a job made here, of one command, that no file holds.
import { html, useState } from "../preact.js";
import { Icon, JobName, Panel, Time, Trouble } from "../parts.js";
import { post } from "../api.js";
import { instantOf, shownState, shownZone } from "../format.js";
import { go } from "../router.js";
import { useRuns } from "../runlist.js";
import { may } from "../session.js";
import { copy } from "../clipboard.js";
import { stream } from "../stream.js";
import { timeOf } from "../times.js";
import { attempt, done } from "../toast.js";
import { useGet } from "../views_common.js";
import { toYaml } from "../yaml.js";

const LATELY = 8;
const KINDS = {
  shell: { word: "shell", label: "command", hint: "Given to bash; may have many lines. Jinja2, as in job files: {{ name }} makes an arg.", program: (text) => ({ type: "shell", command: text }) },
  argv: {
    word: "argv",
    label: "argv",
    hint: "One argument on each line, as they are: no shell looks at them.",
    program: (text) => ({ type: "process", argv: text.replace(/\n+$/, "").split("\n") }),
  },
};
const PARAM = /\{\{\s*([A-Za-z_]\w*)/g;
// What templates know besides args.
const KNOWN = new Set(["run_id", "job_id", "params", "labels", "results", "source"]);

export function AdHocView() {
  if (!may("admin")) return html`<${Trouble} error=${{ status: 403, message: "running a command of one's own takes the role admin" }} />`;
  return html`<${AdHocForm} />`;
}

function AdHocForm() {
  const [kind, setKind] = useState("shell");
  const [text, setText] = useState("");
  const [args, setArgs] = useState({});
  const [more, setMore] = useState({ group: "", cwd: "", timeout: "", labels: "" });
  const [when, setWhen] = useState("now");
  const [at, setAt] = useState("");
  const [after, setAfter] = useState("10m");
  const [busy, setBusy] = useState(false);
  const agents = useGet("/api/v2/agents");
  const { label, hint, program } = KINDS[kind];
  const params = [...new Set([...text.matchAll(PARAM)].map((match) => match[1]))].filter((name) => !KNOWN.has(name));
  const labels = more.labels.split(/[,\s]+/).filter(Boolean);
  const job = {
    ...(params.length ? { params } : {}),
    program: {
      ...program(text),
      ...(more.group ? { group_id: more.group } : {}),
      ...(more.cwd ? { cwd: more.cwd } : {}),
      ...(more.timeout ? { timeout: more.timeout } : {}),
    },
    ...(labels.length ? { metadata: { labels } } : {}),
  };
  const lacking = params.filter((name) => !args[name]);
  const run = async (event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    const schedule = when === "now" ? "now" : when === "at" ? instantOf(at) : timeOf(`+${after.replace(/^\+/, "").replace(/\s*min$/, "m")}`, stream.now());
    const body = { job, args: Object.fromEntries(params.map((name) => [name, args[name] ?? ""])), times: { schedule } };
    const answer = await attempt("Nothing was run", () => post("/api/v2/runs", body));
    setBusy(false);
    if (!answer) return;
    const [made] = answer.runs;
    done(`${made.run_id} is made`, "", `/runs/${made.run_id}`);
    go(`/runs/${made.run_id}`);
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
  };
  const field = (name, said, hinted) => html`<label for=${`adhoc-${name}`}>${said}</label>
    <div><input class="field wide" id=${`adhoc-${name}`} name=${name} autocomplete="off" value=${more[name]} onInput=${(event) => setMore({ ...more, [name]: event.target.value })} />${hinted && html`<div class="hint">${hinted}</div>`}</div>`;
  const groups = [...new Set((agents.value?.agents ?? []).map((agent) => agent.group_id))].sort();
  const times = { now: "now", at: "at", in: "in" };
  return html`<div>
    <div class="top"><h1>Ad hoc run</h1><span class="dim small hide-s">a job made here, run once, marked <span class="adhoc">ad hoc</span> everywhere and kept with its run</span></div>
    <div class="split">
      <form class="panel" onSubmit=${run} onKeyDown=${onKeyDown}>
        <div class="pad form ah">
          <label id="adhoc-kind">what</label>
          <div>
            <div class="seg" role="group" aria-labelledby="adhoc-kind">
              ${Object.entries(KINDS).map(([name, { word }]) => html`<button type="button" aria-pressed=${kind === name} onClick=${() => setKind(name)}>${word}</button>`)}
            </div>
          </div>
          <label for="adhoc-text">${label}</label>
          <div>
            <textarea class="field wide mono" id="adhoc-text" name="text" rows="6" spellcheck="false" autocapitalize="off" aria-describedby="adhoc-hint" value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
            <div class="hint" id="adhoc-hint">${hint}</div>
          </div>
          ${params.length > 0 &&
          html`<span class="dim">args</span>
            <div class="args">
              ${params.map((name) => html`<label for=${`adhoc-arg-${name}`}>${name}</label><input class=${`field${lacking.includes(name) ? " bad" : ""}`} id=${`adhoc-arg-${name}`} name=${`arg.${name}`} autocomplete="off" value=${args[name] ?? ""} onInput=${(event) => setArgs({ ...args, [name]: event.target.value })} />`)}
              ${lacking.length > 0 && html`<div class="err">${lacking.join(", ")}: no value yet, it would be empty</div>`}
            </div>`}
          <label for="adhoc-group">where</label>
          <div><select class="field" id="adhoc-group" name="group" value=${more.group} onChange=${(event) => setMore({ ...more, group: event.target.value })}><option value="">default group</option>${groups.map((name) => html`<option value=${name}>${name}</option>`)}</select></div>
          <label id="adhoc-when">when</label>
          <div class="row wraps">
            <div class="seg" role="group" aria-labelledby="adhoc-when">
              ${Object.keys(times).map((name) => html`<button type="button" aria-pressed=${when === name} onClick=${() => setWhen(name)}>${name}</button>`)}
            </div>
            ${when === "at" && html`<input class="field" type="datetime-local" step="1" name="at" aria-label=${`Time, ${shownZone()}`} value=${at} onInput=${(event) => setAt(event.target.value)} /><span class="hint">${shownZone()}</span>`}
            ${when === "in" && html`<input class="field" name="in" aria-label="After how long" value=${after} onInput=${(event) => setAfter(event.target.value)} /><span class="hint">30s, 45m, 2h</span>`}
          </div>
          ${field("cwd", "folder")} ${field("timeout", "stop after", "such as 30m; empty: as the server's settings say")} ${field("labels", "labels")}
        </div>
        <div class="out-foot"><span class="faint">kept in the audit log</span><span class="grow"></span><button class="btn main" type="submit" disabled=${busy}>Run <kbd>Ctrl ↵</kbd></button></div>
      </form>
      <div class="side"><${AsFile} text=${toYaml(job)} /><${Lately} /></div>
    </div>
  </div>`;
}

/** The job file that the form amounts to. */
function AsFile({ text }) {
  return html`<${Panel} title="As a job file" end=${html`<button class="btn plain small" onClick=${() => copy(text, "the job file")}>Copy</button>`}><pre class="yaml" data-file>${text}</pre><//>`;
}

function Lately() {
  const list = useRuns({ q: "adhoc:yes" }, { limit: LATELY });
  const runs = [...list.runs].sort((a, b) => Number(b.run_id.slice(1)) - Number(a.run_id.slice(1))).slice(0, LATELY);
  return html`<${Panel} title="Made here lately" end=${html`<a class="btn plain small" href="/runs?q=adhoc:yes">All in Runs</a>`}>
    <ul class="lt">
      ${runs.length === 0 && html`<li class="faint">${list.error ? list.error.message : list.loading ? " " : "none"}</li>`}
      ${runs.map(
        (run) => html`<li key=${run.run_id}>
          <${Icon} state=${shownState(run)} /><span class="grow"><${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /></span>
          <span class="r"><${Time} at=${run.schedule_time} /> · ${run.run_id}</span>
        </li>`,
      )}
    </ul>
  <//>`;
}
