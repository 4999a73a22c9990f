// What a query could go on with: keys, then values by how often they occur in what was found, then jobs.
import { html } from "./preact.js";
import { get } from "./api.js";
import { count, STATES } from "./format.js";
import { JobName } from "./parts.js";
import { quoted, read } from "./querytext.js";

const MOST = 8;
const KEYS = [
  ["state:", "running, failure …"],
  ["label:", "has this label"],
  ["owner:", "of this owner's jobs"],
  ["agent:", "with this agent"],
  ["job:", "words of the job's id"],
  ["time:", "a day, or -6h..now"],
  ["held:yes", "held runs"],
  ["adhoc:yes", "ad hoc runs"],
  ["id:", "run ids"],
];
const TIMES = ["-1h..", "-6h..", "-1d..", "-7d..", "now.."];

/** @typedef {{text: string, note: string, unfinished?: boolean, shown?: any}} Option */

let jobIds = null;
/** The ids of all jobs, once somebody asks for completions. */
function jobs() {
  if (jobIds === null) {
    jobIds = [];
    get("/api/v2/jobs").then((found) => (jobIds = found.jobs.map((job) => job.job_id)), () => (jobIds = null));
  }
  return jobIds ?? [];
}

/** @param {string} text what is being typed @param {any[]} runs those of the present result that are looked at @param {any} counts its counts by state
 *  @returns {{name: string, options: Option[]}[]} at most eight options in all */
export function completions(text, runs, counts) {
  const draft = text.trim();
  const { not, key, mark, value } = read(draft);
  const sign = not ? "!" : "";
  let left = MOST;
  const groups = [];
  const offer = (name, options) => {
    const some = options.filter((option) => option.text !== draft).slice(0, left);
    left -= some.length;
    if (some.length) groups.push({ name, options: some });
  };
  if (key && mark === "=") {
    const found = tally(runs.map((run) => run.args[key]).filter((one) => one !== undefined));
    offer(`Values of ${key}`, valuesOf(`${sign}${key}=`, found, value));
  } else if (key === "state") {
    const names = [...STATES, "held"].filter((state) => state.startsWith(value));
    offer("States", names.map((state) => ({ text: `${sign}state:${state}`, note: counts?.[state] ? `${count(counts[state])} runs` : "" })));
  } else if (key === "label") offer("Labels", valuesOf(`${sign}label:`, tally(runs.flatMap((run) => run.labels)), value));
  else if (key === "owner") offer("Owners", valuesOf(`${sign}owner:`, tally(runs.map((run) => run.owner).filter(Boolean)), value));
  else if (key === "agent") offer("Agents", valuesOf(`${sign}agent:`, tally(runs.map((run) => run.agent).filter(Boolean)), value));
  else if (key === "time") offer("Times", TIMES.map((time) => ({ text: `${sign}time:${time}`, note: "" })));
  else if (key === "job") offer("Jobs", jobsLike(value, `${sign}job:`));
  else if (!key) {
    const like = value.toLowerCase();
    const begins = (word) => word.toLowerCase().startsWith(like);
    const params = tally(runs.flatMap((run) => Object.keys(run.args)));
    offer("Params in these runs", params.filter(([name]) => begins(name)).slice(0, 3).map(([name]) => ({ text: `${sign}${name}=`, note: samples(runs, name), unfinished: true })));
    const labels = tally(runs.flatMap((run) => run.labels));
    offer("Labels", labels.filter(([label]) => begins(label)).slice(0, 3).map(([label, n]) => ({ text: `${sign}label:${quoted(label)}`, note: times(n) })));
    if (like) offer("States", STATES.filter(begins).map((state) => ({ text: `${sign}state:${state}`, note: counts?.[state] ? `${count(counts[state])} runs` : "" })));
    offer("Terms", KEYS.filter(([one]) => begins(one)).map(([one, note]) => ({ text: `${sign}${one}`, note, unfinished: one.endsWith(":") })));
    if (like) offer("Jobs", jobsLike(value, `${sign}job:`));
  }
  return groups;
}

function valuesOf(before, found, value) {
  const like = value.replace(/^["']/, "").toLowerCase();
  return found.filter(([one]) => one.toLowerCase().startsWith(like)).map(([one, n]) => ({ text: before + quoted(one), note: times(n) }));
}

function jobsLike(value, before) {
  const words = value.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  return jobs()
    .filter((id) => words.every((word) => id.toLowerCase().includes(word)))
    .slice(0, MOST)
    .map((id) => ({ text: before + quoted(id), note: "job", shown: html`<${JobName} id=${id} href=${null} />` }));
}

/** Values with how often each occurs, the most frequent first. @param {string[]} values @returns {[string, number][]} */
function tally(values) {
  const found = new Map();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  return [...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

function times(n) {
  return n === 1 ? "1 run here" : `${count(n)} runs here`;
}

function samples(runs, name) {
  const found = tally(runs.map((run) => run.args[name]).filter((one) => one !== undefined)).map(([value]) => value);
  return `${found.slice(0, 3).join(", ")}${found.length > 3 ? ` and ${found.length - 3} more` : ""}`;
}

