// What a person may do to a run: in a fixed order, asking before what cannot be undone.
import { html, useLayoutEffect, useRef } from "./preact.js";
import { post } from "./api.js";
import { ask } from "./dialog.js";
import { MARKS } from "./format.js";
import { go } from "./router.js";
import { may } from "./session.js";
import { stream } from "./stream.js";
import { timeOf } from "./times.js";
import { attempt, done, failed } from "./toast.js";
import { Wanted, wanting } from "./wanted.js";

const DEEDS = {
  start: { label: "Start", said: "started" },
  release: { label: "Release", said: "released" },
  rerun: { label: "Rerun", key: "r" },
  hold: { label: "Hold…", key: "h", said: "held" },
  reschedule: { label: "Reschedule…", said: "put to another time" },
  skip: { label: "Skip…", said: "skipped" },
  mark: { label: "Mark…", said: "marked" },
  signal: { label: "Signal…", said: "signalled" },
  stop: { label: "Stop", key: "s", said: "stopping" },
  kill: { label: "Kill…", key: "K", grave: true, said: "killed" },
};
const rerun = new Wanted(() => import("./rerun.js"));
const ORDER = Object.keys(DEEDS);
export const VERBS = ORDER;

/** @param {string} verb */
export function labelOf(verb) {
  return DEEDS[verb].label;
}

/** What the state of a run allows, and one's role. @param {any} run @returns {string[]} */
export function allowed(run) {
  return may("operator") ? possible(run) : [];
}

/** What the state of a run allows, whoever asks. @param {any} run @returns {string[]} */
export function possible(run) {
  if (run.operations) return ORDER.filter((verb) => run.operations.includes(verb));
  const hold = run.held ? "release" : "hold";
  const by = {
    scheduled: ["start", hold, "skip"],
    waiting: ["start", hold, "skip"],
    starting: ["stop"],
    running: ["signal", "stop", "kill"],
    stopping: ["signal", "kill"],
  };
  return ORDER.filter((verb) => (by[run.state] ?? ["rerun", "mark"]).includes(verb));
}

async function question(run, verb) {
  const name = `${run.job_id} ${run.run_id}`;
  if (verb === "kill") {
    const text = "SIGKILL goes to its processes at once; nothing is cleaned up. Stop would send its stop signal and wait for its grace period.";
    return ask({ title: `Kill ${name}?`, text, deed: "Kill", safe: "Leave it running", grave: true });
  }
  if (verb === "mark") {
    const fields = [{ name: "state", label: "state", options: MARKS.filter((state) => state !== run.state) }];
    return ask({ title: `Mark ${name}`, text: `It is ${run.state}. Actions and dependents follow the new state.`, deed: "Mark", fields });
  }
  if (verb === "signal") {
    const options = ["SIGHUP", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGQUIT", "SIGCONT"];
    return ask({ title: `Signal ${name}`, deed: "Send", fields: [{ name: "signal", label: "signal", options }] });
  }
  if (verb === "reschedule") {
    const fields = [
      { name: "time", label: "to", hint: "now, +10m, 18:30, or a date and time in the shown zone" },
      { name: "reason", label: "reason", hint: "kept in the run's log" },
    ];
    const text = "It is yours from then on: its schedule makes no other for the old time, and no pause leaves it out.";
    const found = await ask({ title: `Put ${name} to another time`, text, deed: "Reschedule", safe: "Leave it", fields });
    return found && { ...found, time: timeOf(found.time, stream.now()) };
  }
  if (verb === "hold" || verb === "skip") {
    const fields = [{ name: "reason", label: "reason", hint: "kept in the run's log" }];
    return ask({ title: `${verb === "hold" ? "Hold" : "Skip"} ${name}`, deed: verb === "hold" ? "Hold" : "Skip", fields });
  }
  return {};
}

/** Ask if need be, do it, say how it went. @param {any} run @param {string} verb */
export async function operate(run, verb) {
  const body = await question(run, verb);
  if (body === null) return;
  const answer = await attempt(`Could not ${verb} ${run.run_id}`, () => post(`/api/v2/runs/${run.run_id}/${verb}`, body));
  if (!answer) return;
  if (verb === "rerun") {
    const made = answer.runs[0];
    done(`Rerun of ${run.job_id} is ${made.run_id}`, "", `/runs/${made.run_id}`);
    go(`/runs/${made.run_id}`);
  } else {
    done(`${run.run_id} ${DEEDS[verb].said}`, "", "", verb === "hold" ? () => release(run) : undefined);
  }
}

/** Undo a hold: of all verbs the one that another takes back whole. */
async function release(run) {
  if (await attempt(`Could not release ${run.run_id}`, () => post(`/api/v2/runs/${run.run_id}/release`))) done(`${run.run_id} released`);
}

/** The verb of a key on a run, if its state allows it. @param {any} run @param {string} key */
export function verbOf(run, key) {
  const verb = possible(run).find((one) => DEEDS[one].key === key || (key === "h" && one === "release"));
  if (!verb || may("operator")) return verb;
  failed(`Could not ${verb} ${run.run_id}`, { message: "that takes the role operator" });
  return undefined;
}

export function Operations({ run }) {
  const bar = useRef(null);
  // What was done may not be possible any more: its button goes, and the focus with it.
  const had = bar.current?.contains(document.activeElement);
  useLayoutEffect(() => {
    if (had && document.activeElement === document.body) bar.current.querySelector("button, a").focus();
  });
  return html`<div class="acts-r" role="toolbar" aria-label="Operations" ref=${bar}>
    ${allowed(run).map(
      (verb) => html`<button key=${verb} class=${`btn${DEEDS[verb].grave ? " kill" : ""}`} data-verb=${verb} onClick=${() => operate(run, verb)}>
        ${DEEDS[verb].label}${DEEDS[verb].key && html` <kbd>${DEEDS[verb].key}</kbd>`}
      </button>`,
    )}
    ${allowed(run).includes("rerun") && html`<button class="btn" data-verb="rerun-with" onClick=${() => wanting(rerun, ({ rerunWith }) => rerunWith(run))}>Rerun with…</button>`}
    <a class="btn plain" href="#json">JSON</a>
  </div>`;
}
