// Ad hoc run: a job made here, of one command, that no file holds.
import { html, useState } from "../preact.js";
import { Icon, JobName, Panel, Time, Trouble } from "../parts.js";
import { post } from "../api.js";
import { instantOf, shownState, shownZone } from "../format.js";
import { go } from "../router.js";
import { useRuns } from "../runlist.js";
import { may } from "../session.js";
import { attempt, done } from "../toast.js";

const LATELY = 8;
const KINDS = {
  shell: { word: "shell", label: "command", hint: "Given to bash; may have many lines.", program: (text) => ({ type: "shell", command: text }) },
  argv: {
    word: "argv",
    label: "argv",
    hint: "One argument on each line, as they are: no shell looks at them.",
    program: (text) => ({ type: "process", argv: text.replace(/\n+$/, "").split("\n") }),
  },
};

export function AdHocView() {
  if (!may("admin")) return html`<${Trouble} error=${{ status: 403, message: "running a command of one's own takes the role admin" }} />`;
  return html`<${AdHocForm} />`;
}

function AdHocForm() {
  const [kind, setKind] = useState("shell");
  const [text, setText] = useState("");
  const [later, setLater] = useState(false);
  const [at, setAt] = useState("");
  const [busy, setBusy] = useState(false);
  const { label, hint, program } = KINDS[kind];
  const run = async (event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    const body = { job: { program: program(text) }, times: { schedule: later ? instantOf(at) : "now" } };
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
          <label id="adhoc-when">when</label>
          <div class="row wraps">
            <div class="seg" role="group" aria-labelledby="adhoc-when">
              <button type="button" aria-pressed=${!later} onClick=${() => setLater(false)}>now</button><button type="button" aria-pressed=${later} onClick=${() => setLater(true)}>at</button>
            </div>
            ${later && html`<input class="field" type="datetime-local" step="1" name="at" aria-label=${`Time, ${shownZone()}`} value=${at} onInput=${(event) => setAt(event.target.value)} /><span class="hint">${shownZone()}</span>`}
          </div>
        </div>
        <div class="out-foot"><span class="grow"></span><button class="btn main" type="submit" disabled=${busy}>Run <kbd>Ctrl ↵</kbd></button></div>
      </form>
      <div class="side"><${Lately} /></div>
    </div>
  </div>`;
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
