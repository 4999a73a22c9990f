// Job: what it is, when it runs next, how it went; and running it now.
import { html, useEffect, useLayoutEffect } from "../preact.js";
import { AdHoc, Args, Elapsed, Icon, InTime, JobName, Late, Panel, State, Time, Trouble } from "../parts.js";
import { jobPath, post } from "../api.js";
import { ask } from "../dialog.js";
import { BEGUN, due, duration, reason, shownState, spoken } from "../format.js";
import { Durations, typical } from "../durations.js";
import { pause } from "../pauses.js";
import { go } from "../router.js";
import { useComing, useRuns } from "../runlist.js";
import { stream, useNow } from "../stream.js";
import { may } from "../session.js";
import { attempt, done, failed } from "../toast.js";
import { useGet } from "../views_common.js";

const MOST_RUNS = 500;

export function JobView({ jobId }) {
  const { value, error, again } = useGet(`/api/v2/jobs/${jobPath(jobId)}`);
  const list = useRuns({ job: jobId }, { states: BEGUN });
  const coming = useComing({ job: jobId });
  useEffect(() => stream.follow({ topic: "jobs" }, again, again), [jobId]);
  useLayoutEffect(() => {
    document.title = `${jobId} · callsheet`;
    const onKey = (event) => {
      if (event.key === "n" && value && !event.target.closest("input, textarea, select, .dialog") && !event.ctrlKey && !event.metaKey) runNow(value);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [jobId, value]);
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  if (!value) return html`<div class="head"></div>`;
  const { job } = value;
  const its = (run) => run.job_id === job.job_id;
  const next = coming.runs.filter(its);
  const past = list.runs.filter(its).sort((a, b) => due(b) - due(a));
  const usual = typical(past);
  const running = past.filter((run) => run.state === "running").length;
  return html`<div>
    <div class="head">
      <div>
        <div class="crumbs"><a href="/jobs">Jobs</a></div>
        <h1><${JobName} id=${job.job_id} href=${null} /> ${job.params.length > 0 && html`<span class="arg"><i>${job.params.join(", ")}</i></span>`}</h1>
        <div class="facts">
          ${running > 0 && html`<${State} run="running">${running}<//>`}
          ${next[0] && html`<span><i>next</i><${Time} at=${next[0].schedule_time} /></span>`}
          ${usual !== null && html`<span><i>usually</i>${duration(usual)}</span>`}
          ${value.labels.map((label) => html`<a class="lab" href=${`/runs?q=label:${encodeURIComponent(label)}`}>${label}</a>`)}
          <${AdHoc} of=${value} />
          ${value.paused && html`<span class="state s-late" data-paused title=${value.paused}><${Icon} state="skipped" /><span>${value.paused}</span></span>`}
          <span><i>definition</i><span class="mono">${value.hash.slice(0, 10)}</span></span>
        </div>
      </div>
      <div class="acts-r">
        ${may("operator") && html`<button class="btn" onClick=${() => pause({ kind: "job", name: job.job_id, what: job.job_id }, again)}>Pause…</button>`}
        ${may("operator") && html`<button class="btn main" onClick=${() => runNow(value)}>Run now… <kbd>n</kbd></button>`}
        <a class="btn plain" href=${`/api/v1/jobs/${jobPath(job.job_id)}`} target="_blank" rel="noopener">JSON</a>
      </div>
    </div>
    <div class="split">
      <div>
        <${Durations} runs=${past} />
        <${Panel} title="Runs" end=${html`<a class="btn plain small" href=${`/runs?q=${encodeURIComponent(JSON.stringify(job.job_id))}`}>All in Runs</a>`}>
          ${past.length === 0 ? html`<p class="empty">${list.loading ? " " : "It has not run yet."}</p>` : html`<${JobRuns} runs=${past} params=${job.params} />`}
          ${list.more && html`<p class="empty"><button class="btn small" onClick=${list.loadMore}>Load older</button></p>`}
        <//>
      </div>
      <div class="side">
        ${value.description_html && html`<section class="panel"><div class="pad prose" dangerouslySetInnerHTML=${{ __html: value.description_html }}></div></section>`}
        <${Panel} title="Schedules">
          <ul class="lt">
            ${value.schedules.length === 0 && html`<li class="faint">none: it runs on request</li>`}
            ${value.schedules.map((words) => html`<li><${Icon} state=${words.endsWith("(disabled)") ? "skipped" : "scheduled"} /><span class="grow" title=${words}>${spoken(words)}</span></li>`)}
          </ul>
        <//>
        <${Panel} title="Next runs">
          <ul class="lt">
            ${next.length === 0 && html`<li class="faint">none</li>`}
            ${next.slice(0, 8).map(
              (run) => html`<li key=${run.run_id}><a href=${`/runs/${run.run_id}`}><${Time} at=${run.schedule_time} /></a><span class="grow"><${Args} args=${run.args} /></span><span class="r"><${InTime} at=${run.schedule_time} /></span></li>`,
            )}
          </ul>
        <//>
        <${Panel} title="Program, conditions, actions">
          <dl class="kv">
            <dt>program</dt><dd class="mono" title=${job.program.str}>${job.program.str}</dd>
            ${job.condition.map((cond, index) => html`<dt>condition ${index + 1}</dt><dd title=${cond.str}>${cond.str}</dd>`)}
            ${job.action.map((action) => html`<dt>action</dt><dd title=${action.str}>${action.str}</dd>`)}
          </dl>
        <//>
      </div>
    </div>
  </div>`;
}

function JobRuns({ runs, params }) {
  const now = useNow();
  const columns = params.slice(0, 3);
  return html`<table class="runs stack">
    <colgroup>
      <col class="col-state" />${columns.map(() => html`<col class="col-arg" />`)}<col class="col-time" /><col class="col-el" /><col /><col class="col-run" />
    </colgroup>
    <thead>
      <tr><th>State</th>${columns.map((name) => html`<th>${name}</th>`)}<th class="num">Scheduled</th><th class="num">Elapsed</th><th>Why, or result</th><th class="num">Run</th></tr>
    </thead>
    <tbody>
      ${runs.slice(0, MOST_RUNS).map(
        (run) => html`<tr key=${run.run_id} data-run=${run.run_id} data-state=${run.state}>
          <td class="m-st"><a href=${`/runs/${run.run_id}`}><${State} run=${run} /></a></td>
          ${columns.map((name) => html`<td title=${run.args[name]}>${run.args[name] ?? html`<span class="z">–</span>`}</td>`)}
          <td class="num"><${Time} at=${run.schedule_time} /></td>
          <td class="m-d num"><${Elapsed} run=${run} /></td>
          <td class="m-c dim cut" title=${reason(run, now)}><${Late} run=${run} /> ${reason(run, now)}</td>
          <td class="m-a only-phone"><a href=${`/runs/${run.run_id}`}><span class=${`s-${shownState(run)} c`}>${shownState(run)}</span> <${Time} at=${run.schedule_time} /> <${Args} args=${run.args} /></a></td>
          <td class="m-b num"><a class="rid" href=${`/runs/${run.run_id}`}>${run.run_id}</a></td>
        </tr>`,
      )}
    </tbody>
  </table>`;
}

/** A form made from the params; filled with the args of the latest run. */
async function runNow(value) {
  if (!may("operator")) {
    failed(`Could not run ${value.job.job_id}`, { message: "that takes the role operator" });
    return;
  }
  const { job } = value;
  const latest = value.recent[0]?.args ?? value.next[0]?.args ?? {};
  const fields = job.params.map((name) => ({ name, label: name, value: latest[name] ?? "" }));
  const text = fields.length ? null : "It has no params.";
  const args = await ask({ title: `Run ${job.job_id}`, text, deed: "Run now", fields });
  if (args === null) return;
  const answer = await attempt(`Could not run ${job.job_id}`, () => post("/api/v2/runs", { job_id: job.job_id, args }));
  if (!answer) return;
  const made = answer.runs[0];
  done(`${job.job_id} is ${made.run_id}`, "", `/runs/${made.run_id}`);
  go(`/runs/${made.run_id}`);
}
