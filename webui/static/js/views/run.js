// Run: one run's state, life, output and log, live.
import { html, useEffect, useLayoutEffect } from "../preact.js";
import { AdHoc, Args, Elapsed, Icon, JobName, Late, Panel, State, Time, Trouble } from "../parts.js";
import { BEGUN, clock, clockMs, due, duration, elapsed, FINISHED } from "../format.js";
import { jobPath } from "../api.js";
import { operate, Operations, verbOf } from "../operations.js";
import { Artifacts, Output } from "../output.js";
import { useRuns } from "../runlist.js";
import { stream, useNow } from "../stream.js";
import { useGet } from "../views_common.js";

const SIBLINGS = 8;

export function RunView({ runId }) {
  const { value, error, again } = useGet(`/api/v2/runs/${encodeURIComponent(runId)}`);
  const run = value?.run;
  useEffect(() => {
    if (!value) return undefined;
    return stream.follow(
      { topic: "run", run_id: runId, resume: `${value.epoch}:${value.seq}` },
      () => again(),
      again,
    );
  }, [runId, value === null]);
  useLayoutEffect(() => {
    if (!run) return undefined;
    document.title = `${run.state} · ${run.job_id} ${run.run_id} · callsheet`;
    const onKey = (event) => {
      if (event.target.closest("input, textarea, select, .dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      const verb = verbOf(run, event.key);
      if (verb) operate(run, verb);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [run]);
  if (error && !run) return html`<${Trouble} error=${error} again=${again} />`;
  if (!run) return html`<div class="head"></div>`;
  const pid = run.meta?.program?.proc_stat?.pid;
  return html`<div>
    <div class="head">
      <div>
        <div class="crumbs"><a href="/runs">Runs</a><a href=${`/job/${jobPath(run.job_id)}`}>${run.job_id}</a></div>
        <h1><${JobName} id=${run.job_id} /> <${Args} args=${run.args} /> <${AdHoc} of=${run} /></h1>
        <div class="facts">
          <${State} run=${run}>${run.state === "running" && html`<${Elapsed} run=${run} />`}<//>
          ${FINISHED.has(run.state) && elapsed(run, 0) !== null && html`<span><i>took</i>${duration(elapsed(run, 0))}</span>`}
          <span><i>due</i><${Time} at=${run.schedule_time} /> <${Late} run=${run} /></span>
          ${run.agent && html`<span class="hide-s"><i>agent</i><a href="/agents">${run.agent}</a>${pid ? ` pid ${pid}` : ""}</span>`}
          ${run.attempt > 1 && html`<span class="hide-s"><i>attempt</i>${run.attempt}</span>`}
          <span class="hide-s"><i>run</i>${run.run_id}</span>
          ${run.labels.map((label) => html`<a class="lab" href=${`/runs?q=label:${encodeURIComponent(label)}`}>${label}</a>`)}
        </div>
      </div>
      <${Operations} run=${run} />
    </div>
    <${Life} run=${run} />
    <div class="split sec">
      <div>
        ${run.program && !run.program.type?.includes("noop")
          ? html`<${Output} run=${run} outputs=${run.outputs} />`
          : run.outputs?.length > 0 && html`<${Output} run=${run} outputs=${run.outputs} />`}
        <${Artifacts} run=${run} outputs=${run.outputs ?? []} />
        <${Log} run=${run} />
      </div>
      <div class="side">
        <${Panel} title="Why"><div class="why">${run.why.map((sentence) => html`<p>${sentence}</p>`)}<${Conditions} run=${run} /></div><//>
        <${Siblings} run=${run} />
        <${Bound} run=${run} />
      </div>
    </div>
  </div>`;
}

const SPAN_WORDS = { waiting: "waited", starting: "starting", running: "ran", stopping: "stopping" };

/** Every state to scale, the now line where it lives. */
function Life({ run }) {
  const ticking = useNow();
  const over = FINISHED.has(run.state);
  const moves = Object.entries(run.times)
    .map(([state, at]) => [state, Date.parse(at)])
    .filter(([state]) => state !== "scheduled" || run.state === "scheduled")
    .sort((a, b) => a[1] - b[1]);
  if (run.state === "scheduled" || !moves.length) return null;
  const begin = Math.min(due(run), moves[0][1]);
  const now = over ? moves[moves.length - 1][1] : ticking;
  const end = over ? Math.max(now, begin + 1) : Math.max(now, begin + 1000) + (now - begin) * 0.12;
  const point = end - begin < 10000 ? clockMs : clock;
  const x = (ms) => 8 + ((ms - begin) / (end - begin)) * 1150;
  const colour = { starting: "running", stopping: "late" };
  const bars = moves.slice(0, over ? -1 : undefined).map(([state, at], index) => {
    const next = moves[index + 1]?.[1] ?? now;
    return [colour[state] ?? state, at, Math.max(next, at)];
  });
  const last = moves[moves.length - 1];
  return html`<div class="hide-s">
    <svg class="life" viewBox="0 0 1168 58" role="img" aria-label=${`${run.state} since ${clock(last[1])}`}>
      <path class="axis-l" d="M8 32h1150" />
      ${due(run) < (bars[0]?.[1] ?? 0) - 500 &&
      html`<rect class="f-late" x=${x(due(run))} y="28" width=${Math.max(1, x(bars[0][1]) - x(due(run)))} height="8" />`}
      ${bars.map(([state, from, to]) => html`<rect class=${`f-${state}`} x=${x(from)} y="24" width=${Math.max(2, x(to) - x(from))} height="16" />`)}
      ${over && html`<rect class=${`f-${run.state}`} x=${x(last[1]) - 3} y="18" width="5" height="28" />`}
      ${bars
        .map(([, from, to], index) => [from, to, !over && index === bars.length - 1 ? run.state : (SPAN_WORDS[moves[index][0]] ?? moves[index][0])])
        .filter(([from, to]) => x(to) - x(from) > 130)
        .map(([from, to, state]) => html`<text class="lbl-2" x=${x(from) + 2} y="18">${state} ${duration((to - from) / 1000)}</text>`)}
      <text class="lbl" x="8" y="55">${point(begin)}</text>
      ${over
        ? html`<text class="lbl lbl-end" x="1158" y="55">${point(last[1])}</text><text class="lbl-2 lbl-end" x="1158" y="12">${run.state}${run.reason ? `: ${String(run.reason).slice(0, 90)}` : ""}</text>`
        : html`<path class="now-l" d=${`M${x(now)} 14v32`} /><rect class="now-tag" x=${x(now) - 27} y="0" width="54" height="15" rx="3" /><text class="now-txt lbl-mid" x=${x(now)} y="11.5">${clock(now)}</text>`}
    </svg>
  </div>`;
}

function Log({ run }) {
  return html`<section class="sec panel">
    <header><h2>Log</h2><span class="sub">every move, newest first</span></header>
    <table class="log by-cause">
      <tbody>
        ${[...run.log].reverse().map(
          (line) => html`<tr key=${line.seq}>
            <td class="mono small">${clockMs(Date.parse(line.time))}</td>
            <td>${line.state ? html`<${State} run=${line.state} />` : html`<span class="dim">${line.kind}</span>`}</td>
            <td class="said" title=${line.message}>${line.message === line.state ? "" : line.message}</td>
            <td class="dim hide-s">${line.cause && `by ${line.cause}`}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
}

function Conditions({ run }) {
  if (!run.conds?.length) return null;
  const state = (place) => {
    if (run.state === "scheduled") return "scheduled";
    if (run.state !== "waiting") return "success";
    return run.waits_for?.[place]?.met ? "success" : "waiting";
  };
  return html`<ul>
    ${run.conds.map(
      (cond, place) => html`<li>
        <${Icon} state=${state(place)} /><span>${cond.str}</span><time></time>
      </li>`,
    )}
  </ul>`;
}

function Siblings({ run }) {
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
          <${Icon} state=${one.state} />
          <span class="grow">${one.run_id === run.run_id ? html`<b>${one.run_id}</b> this one` : html`<a href=${`/runs/${one.run_id}`}>${one.run_id}</a> ${one.reason ?? ""}`}</span>
          <span class="r"><${Time} at=${one.schedule_time} /> · <${Elapsed} run=${one} /></span>
        </li>`,
      )}
    </ul>
  <//>`;
}

function Bound({ run }) {
  const status = run.meta?.program?.status;
  const rusage = run.meta?.program?.rusage;
  return html`<${Panel} title="Bound to">
    <dl class="kv">
      ${run.definition && html`<dt>definition</dt><dd class="mono">${run.definition.slice(0, 10)}</dd>`}
      <dt>program</dt>
      <dd class="mono" title=${run.program?.str}>${run.program?.str ?? "could not be bound"}</dd>
      ${run.program?.group_id && html`<dt>group</dt><dd>${run.program.group_id}</dd>`}
      ${run.program?.timeout && html`<dt>timeout</dt><dd>${duration(run.program.timeout.duration)}</dd>`}
      ${status && html`<dt>exit</dt><dd>${status.signal ? `killed by ${status.signal}` : (status.exit_code ?? "–")}</dd>`}
      ${rusage && html`<dt>cpu</dt><dd>${duration((rusage.utime ?? 0) + (rusage.stime ?? 0))}</dd>`}
      ${rusage?.maxrss && html`<dt>memory</dt><dd>${Math.round(rusage.maxrss / 1024)} MB at most</dd>`}
      ${run.stop_time && html`<dt>stop at</dt><dd><${Time} at=${run.stop_time} /></dd>`}
      ${run.rerun_of && html`<dt>rerun of</dt><dd><a href=${`/runs/${run.rerun_of}`}>${run.rerun_of}</a></dd>`}
    </dl>
  <//>`;
}
