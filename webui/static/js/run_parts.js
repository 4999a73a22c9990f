// The parts beside a run's output: its chain, its instance's runs, attempts, actions, what it is bound to.
import { html } from "./preact.js";
import { Args, Elapsed, Icon, JobName, Panel, State, Time } from "./parts.js";
import { bytes, BEGUN, clock, due, duration, FINISHED, shownState } from "./format.js";
import { rawPath } from "./output_pane.js";
import { useRuns } from "./runlist.js";
import { useGet, useRefreshed } from "./views_common.js";

const SIBLINGS = 8;
const REREAD_MS = 3000;
const CHAIN = 8;

/** What it needs, what needs it. */
export function Chain({ run, chain }) {
  if (!chain || chain.needs.length + chain.needed_by.length + chain.starts.length === 0) return null;
  const graph = html`<a class="btn plain small" href=${`/graph?focus=${encodeURIComponent(run.job_id)}`}>Graph</a>`;
  const list = (title, rows) => rows.length > 0 && html`<li class="ph">${title}</li>${rows.slice(0, CHAIN)}${rows.length > CHAIN && html`<li class="faint">and ${rows.length - CHAIN} more</li>`}`;
  return html`<${Panel} title="Chain" end=${graph}>
    <ul class="lt chain">
      ${list("needs", chain.needs.map((need) => html`<${Need} key=${need.job_id + JSON.stringify(need.args)} need=${need} />`))}
      ${list("needed by", chain.needed_by.map((one) => html`<${Link} key=${one.run_id} run=${one} />`))}
      ${list("starts", chain.starts.map((id) => html`<li key=${id}><${Icon} state="scheduled" /><span class="grow"><${JobName} id=${id} /></span></li>`))}
    </ul>
  <//>`;
}

function Need({ need }) {
  if (need.run) return html`<${Link} run=${need.run} />`;
  return html`<li><${Icon} state="scheduled" /><span class="grow"><${JobName} id=${need.job_id} /> <${Args} args=${need.args} /></span><span class="r">no run yet</span></li>`;
}

function Link({ run }) {
  const when = FINISHED.has(run.state) && run.times[run.state] ? html`${clock(Date.parse(run.times[run.state]))} · <${Elapsed} run=${run} />` : html`due <${Time} at=${run.schedule_time} />`;
  return html`<li data-run=${run.run_id}>
    <span title=${shownState(run)}><${Icon} state=${shownState(run)} /><span class="sr">${shownState(run)}</span></span>
    <span class="grow"><${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></span><span class="r">${when}</span>
  </li>`;
}

/** The chain of reruns that a run is in, the last first; the first run stands at its end. */
export function Reruns({ run }) {
  const { value, again } = useGet(`/api/v2/runs/${run.run_id}/reruns`);
  useRefreshed(again, REREAD_MS);
  if (!value || value.runs.length < 2) return null;
  return html`<${Panel} title="Reruns" sub=${`${value.runs.length - 1} of ${value.root}`}>
    <ul class="lt reruns">
      ${[...value.runs].reverse().map(
        (one) => html`<li key=${one.run_id} data-rerun=${one.run_id}>
          <span title=${one.state}><${Icon} state=${one.state} /><span class="sr">${one.state}</span></span>
          <span class="grow">${one.run_id === run.run_id ? html`<b>${one.run_id}</b> this one` : html`<a href=${`/runs/${one.run_id}`}>${one.run_id}</a>`} <span class="faint">${one.rerun_number ? `rerun ${one.rerun_number}${one.rerun_of !== value.root ? `, of ${one.rerun_of}` : ""}` : "the first"}</span> ${JSON.stringify(one.args) === JSON.stringify(run.args) ? null : html`<${Args} args=${one.args} />`}</span>
          <span class="r"><${Time} at=${one.schedule_time} /> · <${Elapsed} run=${one} /></span>
        </li>`,
      )}
    </ul>
  <//>`;
}

/** Reruns and others of the same job and args, the newest first. */
export function Siblings({ run }) {
  const words = Object.entries(run.args).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const list = useRuns({ job: run.job_id, q: words.join(" ") }, { states: BEGUN, limit: SIBLINGS });
  const same = list.runs
    .filter((one) => one.job_id === run.job_id)
    .sort((a, b) => due(b) - due(a))
    .slice(0, SIBLINGS);
  if (same.length < 2) return null;
  return html`<${Panel} title="Runs of this instance" sub=${same.length}>
    <ul class="lt">
      ${same.map(
        (one) => html`<li key=${one.run_id}>
          <span title=${one.state}><${Icon} state=${one.state} /><span class="sr">${one.state}</span></span>
          <span class="grow">${one.run_id === run.run_id ? html`<b>${one.run_id}</b> this one` : html`<a href=${`/runs/${one.run_id}`}>${one.run_id}</a> ${one.rerun_of ? `rerun of ${one.rerun_of}` : (one.reason ?? "")}`}</span>
          <span class="r"><${Time} at=${one.schedule_time} /> · <${Elapsed} run=${one} /></span>
        </li>`,
      )}
    </ul>
  <//>`;
}

/** The attempts of a run that was tried more than once, each with what it printed. */
export function Attempts({ run }) {
  if (!(run.attempts?.length > 1)) return null;
  const most = run.meta?.job?.retry?.attempts;
  return html`<${Panel} title="Attempts" sub=${`${run.attempts.length}${most ? ` of ${most}` : ""}`}>
    <ul class="lt">
      ${[...run.attempts].reverse().map(
        (one) => html`<li key=${one.attempt} data-attempt=${one.attempt}>
          <${Icon} state=${one.state} /><span class="grow" title=${one.reason}>${one.attempt}. ${one.state}${one.reason ? `: ${one.reason}` : ""}</span>
          <span class="r">${one.started && html`<${Time} at=${one.started} />`} ${run.outputs?.some((output) => output.output_id === "output" && output.attempt === one.attempt) && html`<a href=${rawPath(run, { output_id: "output", attempt: one.attempt })} download=${`${run.run_id}.${one.attempt}.txt`}>output</a>`}</span>
        </li>`,
      )}
    </ul>
  <//>`;
}

/** What it gave back, and what the run gave that it follows. */
export function Results({ run }) {
  const own = Object.entries(run.results ?? {});
  const missing = Object.keys(run.result_specs ?? {}).filter((name) => !(name in (run.results ?? {})));
  const given = Object.entries(run.source_results ?? {});
  if (!own.length && !missing.length && !given.length) return null;
  const over = FINISHED.has(run.state);
  return html`<${Panel} title="Results">
    <dl class="kv results">
      ${own.map(([name, value]) => html`<dt>${name}</dt><dd class="mono" title=${value}>${value}</dd>`)}
      ${missing.map((name) => html`<dt>${name}</dt><dd class="faint">${over ? "not given" : "to come"}</dd>`)}
      ${given.map(([name, value]) => html`<dt>given ${name}</dt><dd class="mono" title=${value}>${value}</dd>`)}
    </dl>
  <//>`;
}

/** What followed from its moves: done, or owed still. */
export function Actions({ run }) {
  const said = (run.log ?? []).filter((line) => line.kind === "action");
  const owed = run.owed ?? [];
  if (!said.length && !owed.length) return null;
  return html`<${Panel} title="Actions" sub=${owed.length ? `${owed.length} not over` : ""}>
    <ul class="lt actions">
      ${owed.map(
        (one) => html`<li key=${one.action_id} data-action="owed">
          <${Icon} state="waiting" /><span class="grow" title=${one.error}>${one.action}${one.attempts ? html` <span class="faint">tried ${one.attempts} times${one.error ? `: ${one.error}` : ""}</span>` : ""}</span>
          <span class="r">${one.next_attempt ? html`again <${Time} at=${one.next_attempt} />` : "soon"}</span>
        </li>`,
      )}
      ${[...said].reverse().map(
        (line) => html`<li key=${line.seq} data-action=${line.outcome}>
          <${Icon} state=${["failed", "given_up", "lapsed", "dropped"].includes(line.outcome) ? "failure" : "success"} /><span class="grow" title=${line.message}>${line.message}</span><span class="r"><${Time} at=${line.time} /></span>
        </li>`,
      )}
    </ul>
  <//>`;
}

export function Bound({ run }) {
  const status = run.meta?.program?.status;
  const rusage = run.meta?.program?.rusage;
  const end =
    run.definition &&
    html`<a class="btn plain small" href="#definition">YAML</a><a class="btn plain small" href="#diff">Diff to now</a>`;
  return html`<${Panel} title="Bound to" end=${end}>
    <dl class="kv">
      ${run.definition && html`<dt>definition</dt><dd class="mono" title=${run.definition}>${run.commit ? run.commit.slice(0, 10) : run.definition.slice(0, 10)}</dd>`}
      <dt>program</dt>
      <dd class="mono" title=${run.program?.str}>${run.program?.str ?? "could not be bound"}</dd>
      ${run.program?.group_id && html`<dt>group</dt><dd>${run.program.group_id}</dd>`}
      ${run.program?.timeout && html`<dt>timeout</dt><dd>${duration(run.program.timeout.duration)}</dd>`}
      ${status && html`<dt>exit</dt><dd>${status.signal ? `killed by ${status.signal}` : (status.exit_code ?? "–")}</dd>`}
      ${rusage && html`<dt>cpu</dt><dd>${duration((rusage.utime ?? 0) + (rusage.stime ?? 0))}</dd>`}
      ${rusage?.maxrss && html`<dt>memory</dt><dd>${bytes(rusage.maxrss * 1024)} at most</dd>`}
      ${run.deadlines?.start_by && html`<dt>start by</dt><dd><${Time} at=${run.deadlines.start_by} /></dd>`}
      ${run.deadlines?.finish_by && html`<dt>finish by</dt><dd><${Time} at=${run.deadlines.finish_by} /></dd>`}
      ${run.missed?.length > 0 && html`<dt>missed</dt><dd class="s-late c">${run.missed.join(", ")}</dd>`}
      ${run.stop_time && html`<dt>stop at</dt><dd><${Time} at=${run.stop_time} /></dd>`}
      ${run.priority ? html`<dt>priority</dt><dd>${run.priority}</dd>` : null}
      ${run.cause && html`<dt>made by</dt><dd>${run.cause}</dd>`}
      ${run.rerun_of && html`<dt>rerun of</dt><dd><a href=${`/runs/${run.rerun_of}`}>${run.rerun_of}</a></dd>`}
    </dl>
  <//>`;
}

/** The state in which something of a log is; for lines that move nothing, their kind. */
export function LogState({ line }) {
  return line.state ? html`<${State} run=${line.state} />` : html`<span class="dim">${line.kind}</span>`;
}
