// Why: for a job, args and a time, why there is a run or why there is none, in the server's sentences.
import { html, useEffect, useLayoutEffect, useState } from "../preact.js";
import { Args, JobName, Panel, State, Time, Trouble } from "../parts.js";
import { get, jobPath, query as asQuery } from "../api.js";
import { clock, inUtc, inZone, shownZone, told } from "../format.js";
import { NearJobs } from "../nearest.js";
import { go, useUrl } from "../router.js";
import { useNow } from "../stream.js";
import { readBound } from "../timerange.js";
import { useGet } from "../views_common.js";

// Runs that stand around the time asked about, so far before and after it.
const AROUND_MS = 12 * 3600e3;

export function WhyView() {
  const url = useUrl();
  const asked = Object.fromEntries(["job", "at"].map((name) => [name, url.searchParams.get(name) ?? ""]));
  const given = url.searchParams.getAll("arg");
  useLayoutEffect(() => {
    document.title = `Why · callsheet`;
  }, []);
  return html`<div>
    <div class="top"><h1>Why</h1><span class="dim small">why a job has a run for a time, or has none</span></div>
    <div class="split">
      <${Question} key=${url.search} asked=${asked} given=${given} />
      <div class="side">${asked.job && asked.at ? html`<${Answer} key=${url.search} asked=${asked} given=${given} />` : html`<section class="panel"><p class="empty slim">Ask, and the schedules, conditions, skips and reloads of that time are looked through.</p></section>`}</div>
    </div>
  </div>`;
}

/** The job, its args, and the time. */
function Question({ asked, given }) {
  const now = useNow();
  const [job, setJob] = useState(asked.job);
  const [wrong, setWrong] = useState("");
  const [params, setParams] = useState(/** @type {string[]} */ ([]));
  const { value } = useGet("/api/v2/jobs");
  const ids = value?.jobs.map((one) => one.job_id) ?? [];
  const isOne = ids.includes(job);
  useEffect(() => {
    if (!isOne) setParams([]);
    else get(`/api/v2/jobs/${jobPath(job)}`).then((found) => setParams(found.job.params), () => setParams([]));
  }, [job, isOne]);
  const args = Object.fromEntries(given.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]));
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const at = readBound(String(form.get("at")), now);
    if (!at) {
      setWrong("expected a time such as 14:30, Mon 08:00, 2026-11-24 08:00 or -6h");
      return;
    }
    const next = new URLSearchParams({ job: job.trim(), at });
    for (const name of params) if (form.get(`arg ${name}`)) next.append("arg", `${name}=${form.get(`arg ${name}`)}`);
    go(`/why?${next}`);
  };
  const at = Number.isNaN(Date.parse(asked.at)) || /^[+-]/.test(asked.at) ? asked.at : written(Date.parse(asked.at));
  return html`<form class="panel" onSubmit=${submit}>
    <div class="pad form">
      <label for="why-job">job</label>
      <div><input id="why-job" class="field wide" list="why-jobs" value=${job} onInput=${(event) => setJob(event.target.value)} autocomplete="off" spellcheck="false" required /><datalist id="why-jobs">${ids.map((id) => html`<option value=${id} />`)}</datalist></div>
      ${params.map((name) => html`<label key=${name} for=${`why-${name}`}>${name}</label><div><input id=${`why-${name}`} class="field wide" name=${`arg ${name}`} defaultValue=${args[name] ?? ""} autocomplete="off" /></div>`)}
      <label for="why-at">time</label>
      <div><input id="why-at" class=${`field wide${wrong ? " bad" : ""}`} name="at" defaultValue=${at} placeholder="14:30, Mon 08:00, 2026-11-24 08:00" autocomplete="off" required aria-describedby="why-hint" />
        <div id="why-hint" class=${wrong ? "err" : "hint"} role=${wrong ? "alert" : undefined}>${wrong || `for which it should have run, in ${shownZone()}; its args as far as they are known`}</div></div>
      <span></span><div><button class="btn main">Ask why</button></div>
    </div>
  </form>`;
}

/** An instant as the field takes it. */
function written(ms) {
  const day = inZone(ms, shownZone()); // Thu 26 Nov 2026, 03:30:00
  const at = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  const date = inUtc() ? at.toISOString().slice(0, 10) : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return day ? `${date} ${clock(ms)}` : "";
}

function Answer({ asked, given }) {
  const now = useNow();
  const { value, error, again } = useGet(`/api/v2/why${asQuery({ job: asked.job, at: asked.at })}${given.map((text) => `&arg=${encodeURIComponent(text)}`).join("")}`);
  if (error) return html`<${Trouble} error=${error} again=${again} />`;
  if (!value) return null;
  const at = Date.parse(value.schedule_time);
  const near = `/runs${asQuery({ q: `job:${JSON.stringify(value.job_id)}`, since: new Date(at - AROUND_MS).toISOString(), until: new Date(at + AROUND_MS).toISOString() })}`;
  const end = html`<a class="btn plain small" href=${near}>Runs around it</a>`;
  return html`<div data-verdict=${value.verdict}><${Panel} title=${value.run ? "There is a run" : value.verdict === "runs" ? "There are several" : "There is no run"} end=${end}>
    <div class="why" aria-live="polite">
      <p><b><${JobName} id=${value.job_id} /></b> <${Args} args=${value.args} /> for <${Time} at=${value.schedule_time} /></p>
      ${value.run && html`<p><${State} run=${value.run} /> <a href=${`/runs/${value.run_id}`}><u>${value.run_id}</u></a></p>`}
      ${value.lines.map((line) => html`<p>${linked(told(line, now))}</p>`)}
      ${value.verdict === "unknown_job" && html`<${NearJobs} id=${asked.job} to=${(id) => `/why${asQuery({ job: id, at: asked.at })}`} />`}
    </div>
  <//></div>`;
}

/** Ids of runs in a sentence lead to them. @param {string} line */
function linked(line) {
  return line.split(/\b(r\d+)\b/).map((part, place) => (place % 2 ? html`<a href=${`/runs/${part}`}><u>${part}</u></a>` : part));
}
