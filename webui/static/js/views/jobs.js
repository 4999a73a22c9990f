// Jobs: the folder tree with what is not well rolled up, searched as one types.
import { html, useEffect, useMemo, useRef, useState } from "../preact.js";
import { Icon, Ticks, Time, Trouble } from "../parts.js";
import { count, duration, spoken, TROUBLE } from "../format.js";
import { go, here, useUrl } from "../router.js";
import { stream } from "../stream.js";
import { useTreeKeys } from "../treekeys.js";
import { useTyped } from "../typed.js";
import { useGet } from "../views_common.js";
import { may } from "../session.js";
import { Loaded, Wanted } from "../wanted.js";

const REREAD_MS = 5000;
const FEW = 40;
const firstJob = new Wanted(() => import("../firstjob.js").then((its) => its.FirstJob));
// What may be asked for besides words: [name, sign, does a job have it].
const KINDS = [
  ["last run failed", "failure", (job) => TROUBLE.has(job.last[0]?.state)],
  ["running", "running", (job) => ["running", "starting", "stopping"].includes(job.last[0]?.state)],
  ["waiting", "waiting", (job) => job.last[0]?.state === "waiting"],
  ["paused", "skipped", (job) => Boolean(job.paused)],
  ["disabled", "skipped", (job) => job.schedules.length > 0 && job.schedules.every((words) => words.endsWith("(disabled)"))],
  ["never ran", "scheduled", (job) => job.last.length === 0],
  ["no owner", null, (job) => !job.owner],
];

export function JobsView() {
  const { value, error, again } = useGet("/api/v2/jobs");
  const url = useUrl();
  const only = url.searchParams.get("only") ?? "";
  const kind = KINDS.find(([name]) => name === only);
  const set = (changes) => {
    const next = here();
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.searchParams.set(name, value);
      else next.searchParams.delete(name);
    }
    go(next.pathname + next.search, { replace: true });
  };
  const { text, type, send } = useTyped(url.searchParams.get("q") ?? "", (words) => set({ q: words }));
  const [chosen, choose] = useState(() => JSON.parse(sessionStorage.getItem("open") ?? "null"));
  const [flat, setFlat] = useState(false);
  useEffect(() => stream.follow({ topic: "jobs" }, again, again), []);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && again(), REREAD_MS);
    return () => clearInterval(timer);
  }, []);
  const jobs = useMemo(() => (value ? (kind ? value.jobs.filter(kind[2]) : value.jobs) : []), [value, only]);
  const folders = useMemo(() => (value ? foldersOf(value.jobs) : []), [value]);
  // Until somebody opens or closes one, the folders of a few jobs are all open.
  const open = useMemo(() => new Set(chosen ?? (value && value.jobs.length <= FEW ? folders : [])), [chosen, value, folders]);
  const rows = useMemo(() => tree(jobs, text, open, flat, Boolean(kind)), [jobs, text, open, flat]);
  const words = wordsOf(text);
  const body = useRef(null);
  const setOpen = (some) => {
    sessionStorage.setItem("open", JSON.stringify(some));
    choose(some);
  };
  const toggle = (path) => {
    const next = new Set(open);
    if (!next.delete(path)) next.add(path);
    setOpen([...next]);
  };
  useTreeKeys(body, toggle);
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  return html`<div>
    <div class="top">
      <h1 class="sr">Jobs</h1>
      <div class="query">
        <input id="query" value=${text} onInput=${(event) => type(event.target.value)} onKeyDown=${(event) => event.key === "Escape" && send("")} placeholder="Find a job: words of its path, label:, owner:" aria-label="Find a job" spellcheck="false" /><kbd>/</kbd>
      </div>
      ${may("admin") && html`<a class="btn hide-s" href="/adhoc">Ad hoc run…</a>`}
      <span class="dim small nowrap">${value ? `${count(value.jobs.length)} jobs` : ""}</span>
    </div>
    <div class="facets">
      <button aria-pressed=${!flat} onClick=${() => setFlat(false)}>tree</button><button aria-pressed=${flat} onClick=${() => setFlat(true)}>flat</button>
      ${value &&
      KINDS.map(([name, sign, has]) => {
        const n = value.jobs.filter(has).length;
        return (n > 0 || only === name) && html`<button key=${name} aria-pressed=${only === name ? "true" : "false"} data-only=${name} onClick=${() => set({ only: only === name ? "" : name })}>${sign && html`<${Icon} state=${sign} />`}${name} <b>${count(n)}</b></button>`;
      })}
      <span class="grow"></span>
      <button class="hide-s" onClick=${() => setOpen(folders)}>open all</button><button class="hide-s" onClick=${() => setOpen([])}>close all</button>
    </div>
    ${value && !value.jobs.length
      ? html`<${Loaded} it=${firstJob} none="No jobs yet" />`
      : html`<div class="panel">
          <table class="tree" role="treegrid" aria-label="Jobs">
            <colgroup>
              <col class="j1" /><col class="j2" /><col class="j3" /><col class="j4" /><col class="j5" /><col class="j6" /><col class="j7 hide-l" /><col class="j8 hide-xl" />
            </colgroup>
            <thead>
              <tr>
                <th>Job and params</th><th>Schedule</th><th>Last 30 runs</th><th>Last</th><th class="num">Next</th><th class="num">Usually</th><th class="hide-l">Owner</th><th class="hide-xl">Labels</th>
              </tr>
            </thead>
            <tbody ref=${body}>
              ${rows.map((row) => (row.folder ? html`<${FolderRow} key=${`/${row.path}`} row=${row} toggle=${toggle} words=${words} />` : html`<${JobRow} key=${row.job.job_id} row=${row} flat=${flat} words=${words} />`))}
            </tbody>
          </table>
        </div>`}
    ${value && value.jobs.length > 0 && !rows.length && html`<p class="empty">No job matches.</p>`}
  </div>`;
}

function FolderRow({ row, toggle, words }) {
  return html`<tr class="folder" aria-level=${row.depth + 1} aria-expanded=${row.open} data-folder=${row.path} tabindex="0" onClick=${() => toggle(row.path)} onKeyDown=${(event) => ["Enter", " "].includes(event.key) && (event.preventDefault(), toggle(row.path))}>
    <td class=${`t d${Math.min(row.depth, 3)}`}><span class="tw">${row.open ? "▾" : "▸"}</span><span class="nm"><${Marked} text=${row.name} words=${words} /></span> <span class="faint small">${count(row.jobs)}</span></td>
    <td colspan="2"><span class="roll">${Object.entries(row.roll).map(([state, n]) => html`<span class=${`s-${state}`}><${Icon} state=${state} />${n}</span>`)}</span></td>
    <td></td><td></td><td></td><td class="hide-l"></td><td class="hide-xl"></td>
  </tr>`;
}

/** A job's path with what was searched for marked in it. */
function Marked({ text, words }) {
  if (!words.length) return text;
  const found = [];
  let at = 0;
  for (const match of text.matchAll(/[\p{L}\p{N}]+/gu)) {
    const word = words.find((one) => match[0].toLowerCase().startsWith(one));
    if (!word) continue;
    found.push(text.slice(at, match.index), html`<mark>${text.slice(match.index, match.index + word.length)}</mark>`);
    at = match.index + word.length;
  }
  return [...found, text.slice(at)];
}

function JobRow({ row, flat, words }) {
  const { job } = row;
  const last = job.last[0];
  const name = flat ? job.job_id : job.job_id.slice(job.job_id.lastIndexOf("/") + 1);
  return html`<tr aria-level=${row.depth + 1} data-job=${job.job_id} tabindex="-1">
    <td class=${`t d${Math.min(row.depth, 3)}`}>
      <span class="tw"></span><a class="job" href=${jobHref(job.job_id)}>${flat && name.includes("/") && html`<span class="dir"><${Marked} text=${name.slice(0, name.lastIndexOf("/") + 1)} words=${words} /></span>`}<${Marked} text=${name.slice(name.lastIndexOf("/") + 1)} words=${words} /></a>
      ${job.paused && html` <span class="state s-late" title=${job.paused}><${Icon} state="skipped" /><span class="small">paused</span></span>`}
      <span class="faint small"> ${job.params.length ? job.params.join(", ") : job.description}</span>
    </td>
    <td class="cut dim" title=${job.schedules.join("\n")}>${job.schedules.map(spoken).join("; ") || "on request"}</td>
    <td><${Ticks} runs=${job.last} /></td>
    <td>${last ? html`<a class=${`state s-${last.state}`} href=${`/runs/${last.run_id}`}><${Icon} state=${last.state} /><${Time} at=${last.start} /></a>` : html`<span class="z">–</span>`}</td>
    <td class="num"><${Time} at=${job.next} /></td>
    <td class="num dim">${usual(job.last)}</td>
    <td class="hide-l dim">${job.owner ?? ""}</td>
    <td class="hide-xl">${job.labels.map((label) => html`<span class="lab">${label}</span> `)}</td>
  </tr>`;
}

function jobHref(id) {
  return `/job/${id.split("/").map(encodeURIComponent).join("/")}`;
}

function usual(last) {
  const times = last.map((run) => run.elapsed).filter((s) => s !== null && s !== undefined).sort((a, b) => a - b);
  return times.length ? duration(times[Math.floor(times.length / 2)]) : "";
}

function foldersOf(jobs) {
  const found = new Set();
  for (const { job_id: id } of jobs) for (let at = id.indexOf("/"); at >= 0; at = id.indexOf("/", at + 1)) found.add(id.slice(0, at));
  return [...found];
}

function matches(job, words) {
  const parts = job.job_id.toLowerCase().split(/[^\p{L}\p{N}]+/u);
  return words.every((word) =>
    word.startsWith("owner:") ? (job.owner ?? "").toLowerCase().startsWith(word.slice(6)) : word.startsWith("label:") ? job.labels.some((label) => label.toLowerCase().startsWith(word.slice(6))) : parts.some((part) => part.startsWith(word)),
  );
}

function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

/** Rows of the tree: folders with their roll-up, jobs of the open ones; all open while searching. */
function tree(jobs, text, open, flat, all) {
  const words = wordsOf(text);
  const kept = words.length ? jobs.filter((job) => matches(job, words)) : jobs;
  if (flat) return kept.map((job) => ({ job, depth: 0 }));
  const root = { folders: new Map(), jobs: [] };
  for (const job of kept) {
    let node = root;
    for (const name of job.job_id.split("/").slice(0, -1)) {
      if (!node.folders.has(name)) node.folders.set(name, { folders: new Map(), jobs: [] });
      node = node.folders.get(name);
    }
    node.jobs.push(job);
  }
  const rows = [];
  const walk = (node, path, depth) => {
    for (const [name, child] of [...node.folders].sort(([a], [b]) => a.localeCompare(b))) {
      const here = path ? `${path}/${name}` : name;
      const its = inside(child);
      const shown = all || words.length > 0 || open.has(here);
      rows.push({ folder: true, name, path: here, depth, open: shown, jobs: its.length, roll: rolled(its) });
      if (shown) walk(child, here, depth + 1);
    }
    for (const job of node.jobs) rows.push({ job, depth });
  };
  walk(root, "", 0);
  return rows;
}

function inside(node) {
  return [...node.jobs, ...[...node.folders.values()].flatMap(inside)];
}

function rolled(jobs) {
  const roll = {};
  for (const job of jobs) {
    const state = job.last[0]?.state;
    if (state && (TROUBLE.has(state) || ["running", "waiting", "stopping", "starting"].includes(state))) roll[state] = (roll[state] ?? 0) + 1;
  }
  return roll;
}
