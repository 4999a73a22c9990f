// Job: what it is, when it runs next, how it went; and running it now.
import { html, useEffect, useLayoutEffect } from "../preact.js";
import { AdHoc, Args, Elapsed, Icon, InTime, JobName, Late, Panel, State, Time, Trouble } from "../parts.js";
import { jobPath, query as asQuery } from "../api.js";
import { BEGUN, clock, count, due, duration, reason, shownState, spoken, when } from "../format.js";
import { backfill, Backfills } from "../backfills.js";
import { History, quoted, typical } from "../history.js";
import { go, useUrl } from "../router.js";
import { useComing, useRuns } from "../runlist.js";
import { stream, useNow } from "../stream.js";
import { may } from "../session.js";
import { useGet, useRefreshed } from "../views_common.js";
import { Loaded, Wanted, wanting } from "../wanted.js";

const MOST_RUNS = 500;
const GRAPH_MS = 5000;
const NEXT = 8;
const ASKED_FOR = new Set(["yaml", "json"]);
const form = new Wanted(() => import("../jobform.js"));
const graphView = new Wanted(() => import("../graphview.js").then((its) => its.GraphView));
const nearJobs = new Wanted(() => import("../nearest.js").then((its) => its.NearJobs));
const pauses = new Wanted(() => import("../pauses.js"));
const source = new Wanted(() => import("../sources.js").then((its) => its.JobSource));

function runNow(value, now) {
  wanting(form, (its) => its.runNow(value, now));
}

/** @param {{id: string}} of */
export function JobView({ id: jobId }) {
  const url = useUrl();
  const { value, error, again } = useGet(`/api/v2/jobs/${jobPath(jobId)}`);
  const list = useRuns({ job: jobId }, { states: BEGUN });
  const coming = useComing({ job: jobId });
  const now = useNow();
  useEffect(() => stream.follow({ topic: "jobs" }, again, again), [jobId]);
  useLayoutEffect(() => {
    document.title = `${jobId} · callsheet`;
    const onKey = (event) => {
      if (event.key === "n" && value && !event.target.closest("input, textarea, select, .dialog") && !event.ctrlKey && !event.metaKey && !event.altKey) runNow(value, stream.now());
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [jobId, value]);
  if (error && !value) return html`<${Trouble} error=${error} again=${again}>${error.status === 404 && html`<${Loaded} it=${nearJobs} id=${jobId} />`}<//>`;
  if (!value) return html`<div class="head"></div>`;
  const { job } = value;
  const its = (run) => run.job_id === job.job_id;
  const next = coming.runs.filter(its);
  const past = list.runs.filter(its).sort((a, b) => due(b) - due(a));
  const asked = url.hash.slice(1);
  const close = () => go(url.pathname, { replace: true });
  return html`<div>
    <${Head} value=${value} past=${past} next=${next} again=${again} now=${now} />
    ${ASKED_FOR.has(asked) && html`<${Loaded} it=${source} value=${value} asked=${asked} close=${close} />`}
    <div class="split">
      <div>
        <${History} jobId=${job.job_id} />
        ${!value.ad_hoc && html`<${Depends} jobId=${job.job_id} />`}
        <${Panel} className="runs-p" title="Runs" sub=${past.length ? `since ${when(due(past[past.length - 1]), now)}` : ""} end=${html`${list.more && html`<button class="btn plain small" onClick=${list.loadMore}>Load older</button>`}<a class="btn plain small" href=${`/runs${asQuery({ q: `job:${quoted(job.job_id)}` })}`}>All in Runs</a>`}>
          ${past.length === 0 && next.length === 0 ? html`<p class="empty">${list.loading ? " " : "It has not run yet."}</p>` : html`<${JobRuns} runs=${past} next=${next[0]} params=${job.params} />`}
          ${list.more && html`<p class="empty slim"><button class="btn small" onClick=${list.loadMore}>Load older</button></p>`}
        <//>
      </div>
      <div class="side">
        ${value.description_html && html`<section class="panel"><div class="pad prose" dangerouslySetInnerHTML=${{ __html: value.description_html }}></div></section>`}
        <${Schedules} words=${value.schedules} />
        <${Backfills} jobId=${job.job_id} />
        <${Next} runs=${next} jobId=${job.job_id} />
        <${Params} job=${job} />
        <${Rules} job=${job} />
      </div>
    </div>
  </div>`;
}

function Head({ value, past, next, again, now }) {
  const { job } = value;
  const folders = job.job_id.split("/").slice(0, -1);
  const usual = typical(past);
  const running = past.filter((run) => run.state === "running").length;
  const { owner } = job.metadata;
  const target = { kind: "job", name: job.job_id, what: job.job_id };
  return html`<div class="head">
    <div>
      <div class="crumbs"><a href="/jobs">Jobs</a>${folders.map((name, place) => html`<a href=${`/jobs${asQuery({ q: folders.slice(0, place + 1).join(" ") })}`}>${name}</a>`)}</div>
      <h1><${JobName} id=${job.job_id} href=${null} /> ${job.params.length > 0 && html`<span class="arg"><i>${job.params.join(", ")}</i></span>`}</h1>
      <div class="facts">
        ${running > 0 && html`<${State} run="running">${running}<//>`}
        ${next[0] && html`<span><i>next</i><${Time} at=${next[0].schedule_time} /></span>`}
        ${usual !== null && html`<span><i>usually</i>${duration(usual)}</span>`}
        ${typeof owner === "string" && html`<span><i>owner</i>${owner}</span>`}
        ${value.labels.map((label) => html`<a class="lab" href=${`/runs?q=label:${encodeURIComponent(label)}`}>${label}</a>`)}
        <${AdHoc} of=${value} />
        ${value.paused && html`<span class="state s-late" data-paused title=${value.paused}><${Icon} state="skipped" /><span>${value.paused}</span></span>`}
        <span><i>definition</i><span class="mono">${(value.commit ?? value.hash).slice(0, 10)}</span></span>
      </div>
    </div>
    <div class="acts-r">
      ${may("operator") && html`<button class="btn main" onClick=${() => runNow(value, now)}>Run now… <kbd>n</kbd></button>`}
      ${may("operator") && value.paused?.startsWith(`job ${job.job_id} is paused`) && html`<button class="btn" onClick=${() => wanting(pauses, (its) => its.resume(target, again))}>Resume</button>`}
      ${may("operator") && job.schedule.length > 0 && html`<button class="btn" onClick=${() => backfill(job)}>Backfill…</button>`}
      ${may("operator") && html`<button class="btn" onClick=${() => wanting(pauses, (its) => its.pause(target, again))}>Pause…</button>`}
      <a class="btn plain" href=${`/why${asQuery({ job: job.job_id })}`}>Why…</a>
      <a class="btn plain" href="#yaml">YAML</a>
      <a class="btn plain" href="#json">JSON</a>
    </div>
  </div>`;
}

/** One step up and two down, with the states of the latest runs. */
function Depends({ jobId }) {
  const { value, again } = useGet(`/api/v2/graph${asQuery({ focus: jobId, up: 1, down: 2 })}`);
  useRefreshed(again, GRAPH_MS);
  if (!value || value.edges.length === 0) return null;
  return html`<div class="sec-b"><${Panel} title="Depends" sub="states of the latest runs" end=${html`<a class="btn plain small" href=${`/graph${asQuery({ focus: jobId })}`}>Open graph</a>`}>
    <div class="pad"><${Loaded} it=${graphView} graph=${value} focus=${jobId} /></div>
  <//></div>`;
}

function Schedules({ words }) {
  return html`<${Panel} title="Schedules">
    <ul class="lt">
      ${words.length === 0 && html`<li class="faint">none: it runs on request</li>`}
      ${words.map((said) => {
        const off = said.endsWith("(disabled)");
        return html`<li class=${off ? "faint" : ""}><${Icon} state=${off ? "skipped" : "scheduled"} /><span class="grow" title=${said}>${spoken(said)}</span></li>`;
      })}
    </ul>
  <//>`;
}

function Next({ runs, jobId }) {
  return html`<${Panel} title="Next runs" end=${html`<a class="btn plain small" href=${`/calendar${asQuery({ q: `job:${quoted(jobId)}` })}`}>Calendar</a>`}>
    <ul class="lt next">
      ${runs.length === 0 && html`<li class="faint">none</li>`}
      ${runs.slice(0, NEXT).map(
        (run) => html`<li key=${run.run_id}><${Icon} state=${shownState(run)} /><a href=${`/runs/${run.run_id}`}><${Time} at=${run.schedule_time} /></a><span class="grow"><${Args} args=${run.args} /></span><span class="r"><${InTime} at=${run.schedule_time} /></span></li>`,
      )}
    </ul>
  <//>`;
}

function Params({ job }) {
  if (!job.params.length) return null;
  const said = (spec) => {
    if (!spec) return "any text";
    const parts = [spec.choices?.length ? `one of ${spec.choices.join(", ")}` : spec.type, spec.min !== undefined && spec.min !== null ? `from ${spec.min}` : "", spec.max !== undefined && spec.max !== null ? `to ${spec.max}` : "", spec.pattern ? `like ${spec.pattern}` : "", spec.default !== undefined && spec.default !== null ? `default ${spec.default}` : ""];
    return parts.filter(Boolean).join(", ");
  };
  return html`<${Panel} title="Params">
    <dl class="kv">${job.params.map((name) => html`<dt>${name}</dt><dd title=${job.param_specs[name]?.description ?? ""}>${said(job.param_specs[name])}</dd>`)}</dl>
  <//>`;
}

function Rules({ job }) {
  return html`<${Panel} title="Conditions, program, actions">
    <dl class="kv rules">
      ${job.condition.map((cond, index) => html`<dt>${index + 1}</dt><dd title=${cond.str}>${cond.str}</dd>`)}
      <dt>program</dt><dd class="mono" title=${job.program.str}>${job.program.str}</dd>
      ${job.retry && html`<dt>retry</dt><dd title=${job.retry.str}>${job.retry.str}</dd>`}
      ${job.deadline && html`<dt>deadline</dt><dd title=${job.deadline.str}>${job.deadline.str}</dd>`}
      ${job.priority ? html`<dt>priority</dt><dd>${job.priority}</dd>` : null}
      ${job.action.map((action) => html`<dt>action</dt><dd title=${action.str}>${action.str}</dd>`)}
    </dl>
  <//>`;
}

/** The next run, the now-line, then what was. */
function JobRuns({ runs, next, params }) {
  const now = useNow();
  const columns = params.slice(0, 3);
  return html`<table class=${`runs stack of-${columns.length}`}>
    <colgroup>
      <col class="col-state" />${columns.map(() => html`<col class="col-arg" />`)}<col class="col-time" /><col class="col-late" /><col class="col-el-s" /><col class="col-agent hide-m" /><col /><col class="col-run" />
    </colgroup>
    <thead>
      <tr><th>State</th>${columns.map((name) => html`<th>${name}</th>`)}<th class="num">Scheduled</th><th class="num">Late</th><th class="num">Elapsed</th><th class="hide-m">Agent</th><th>Why, or result</th><th class="num">Run</th></tr>
    </thead>
    <tbody>
      ${next && html`<${JobRun} key=${`next ${next.run_id}`} run=${next} columns=${columns} now=${now} /><tr class="nowrow" aria-hidden="true"><td colspan="4"><div>${clock(now)} now</div></td></tr>`}
      ${runs.slice(0, MOST_RUNS).map((run) => html`<${JobRun} key=${run.run_id} run=${run} columns=${columns} now=${now} />`)}
    </tbody>
  </table>
  ${runs.length > MOST_RUNS && html`<p class="empty slim">${count(runs.length - MOST_RUNS)} older ones are in Runs.</p>`}`;
}

function JobRun({ run, columns, now }) {
  return html`<tr data-run=${run.run_id} data-state=${run.state}>
    <td class="m-st"><a href=${`/runs/${run.run_id}`}><${State} run=${run} /></a></td>
    ${columns.map((name) => html`<td title=${run.args[name]}>${run.args[name] ?? html`<span class="z">–</span>`}</td>`)}
    <td class="num"><${Time} at=${run.schedule_time} /></td>
    <td class="num"><${Late} run=${run} /></td>
    <td class="m-d num"><${Elapsed} run=${run} /></td>
    <td class="hide-m">${run.agent ?? ""}</td>
    <td class="m-c dim cut" title=${reason(run, now)}>${reason(run, now)}</td>
    <td class="m-a only-phone"><a href=${`/runs/${run.run_id}`}><span class=${`s-${shownState(run)} c`}>${shownState(run)}</span> <${Time} at=${run.schedule_time} /> <${Args} args=${run.args} /></a></td>
    <td class="m-b num"><a class="rid" href=${`/runs/${run.run_id}`}>${run.run_id}</a></td>
  </tr>`;
}
