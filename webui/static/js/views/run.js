// Run: one run's state, life, output and log, live.
import { html, useEffect, useLayoutEffect } from "../preact.js";
import { AdHoc, Args, Elapsed, Icon, JobName, Late, Panel, State, Time, Trouble } from "../parts.js";
import { clockMs, duration, elapsed, FINISHED, told } from "../format.js";
import { gates } from "../gates.js";
import { agentPath, jobPath, query as asQuery } from "../api.js";
import { Life } from "../life.js";
import { operate, Operations, verbOf } from "../operations.js";
import { Artifacts, Output } from "../output.js";
import { go, useUrl } from "../router.js";
import { Actions, Attempts, Bound, Chain, LogState, Reruns, Results, Siblings } from "../run_parts.js";
import { term } from "../querytext.js";
import { stream, useNow } from "../stream.js";
import { useGet, useRefreshed } from "../views_common.js";
import { Loaded, Wanted } from "../wanted.js";

const CHAIN_MS = 4000;
// Parts that are shown when the address names them.
const ASKED_FOR = new Set(["definition", "diff", "json"]);
const nearRuns = new Wanted(() => import("../nearest.js").then((its) => its.NearRuns));
const source = new Wanted(() => import("../sources.js").then((its) => its.RunSource));
const waysOut = new Wanted(() => import("../whytree.js").then((its) => its.WaysOut));
const whyTree = new Wanted(() => import("../whytree.js").then((its) => its.WhyTree));

/** @param {{id: string}} of */
export function RunView({ id: runId }) {
  const url = useUrl();
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
      if (event.key === "l") document.getElementById("log")?.scrollIntoView({ block: "start" });
      const verb = verbOf(run, event.key);
      if (verb) operate(run, verb);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [run]);
  const asked = url.hash.slice(1);
  const known = run !== undefined;
  useEffect(() => {
    if (known && asked && !/^L\d+$/.test(asked)) document.getElementById(asked)?.scrollIntoView({ block: "nearest" });
  }, [known, asked]);
  if (error && !run) return html`<${Trouble} error=${error} again=${again}>${error.status === 404 && html`<${Loaded} it=${nearRuns} id=${runId} />`}<//>`;
  if (!run) return html`<div class="head"></div>`;
  return html`<${RunPage} run=${run} asked=${asked} />`;
}

function RunPage({ run, asked }) {
  const chain = useGet(`/api/v2/runs/${run.run_id}/chain`);
  useRefreshed(chain.again, CHAIN_MS);
  const waits = run.state === "scheduled" || run.state === "waiting";
  const prints = !waits || run.attempt > 0;
  const close = () => go(`/runs/${run.run_id}`, { replace: true });
  return html`<div>
    <${Head} run=${run} />
    <${Life} run=${run} />
    ${ASKED_FOR.has(asked) && html`<div class="sec"><${Loaded} it=${source} run=${run} asked=${asked} close=${close} /></div>`}
    <div class="split sec">
      <div>
        ${waits && html`<${Waiting} run=${run} chain=${chain.value} />`}
        ${prints && (run.program && !run.program.type?.includes("noop") ? html`<div class=${waits ? "sec" : ""}><${Output} run=${run} outputs=${run.outputs} /></div>` : run.outputs?.length > 0 && html`<${Output} run=${run} outputs=${run.outputs} />`)}
        <${Artifacts} run=${run} outputs=${run.outputs ?? []} />
        <${Log} run=${run} />
      </div>
      <div class="side">
        ${waits ? html`<${Loaded} it=${waysOut} run=${run} chain=${chain.value} />` : html`<${Why} run=${run} />`}
        <${Results} run=${run} />
        <${Chain} run=${run} chain=${chain.value} />
        <${Attempts} run=${run} />
        <${Reruns} run=${run} />
        <${Siblings} run=${run} />
        <${Actions} run=${run} />
        <${Bound} run=${run} />
      </div>
    </div>
  </div>`;
}

function Head({ run }) {
  const pid = run.meta?.program?.proc_stat?.pid;
  const folders = run.job_id.split("/");
  return html`<div class="head">
    <div>
      <div class="crumbs"><a href="/runs">Runs</a>${folders.map((name, place) => html`<a href=${place === folders.length - 1 ? `/job/${jobPath(run.job_id)}` : `/runs${asQuery({ q: `job:${JSON.stringify(folders.slice(0, place + 1).join("/"))}` })}`}>${name}</a>`)}</div>
      <h1><${JobName} id=${run.job_id} /> <${Args} args=${run.args} /> <${AdHoc} of=${run} /></h1>
      <div class="facts">
        <${State} run=${run}>${run.state === "running" && html`<${Elapsed} run=${run} />`}<//>
        <${Left} run=${run} />
        ${FINISHED.has(run.state) && elapsed(run, 0) !== null && html`<span><i>took</i>${duration(elapsed(run, 0))}${run.usual && html` <span class="faint">usually ${duration(run.usual.p50)}</span>`}</span>`}
        <span><i>due</i><${Time} at=${run.schedule_time} /> <${Late} run=${run} /></span>
        ${run.rescheduled_from && html`<span><i>put off from</i><${Time} at=${run.rescheduled_from} /></span>`}
        ${run.agent && html`<span class="hide-s"><i>agent</i><a href=${agentPath(run.agent)}>${run.agent}</a>${pid ? ` pid ${pid}` : ""}</span>`}
        ${run.attempt > 1 && html`<span class="hide-s"><i>attempt</i>${run.attempt}</span>`}
        <span class="hide-s"><i>run</i>${run.run_id}</span>
        ${run.owner && html`<span class="hide-s"><i>owner</i><a href=${`/runs?q=${encodeURIComponent(term("owner", run.owner))}`}>${run.owner}</a></span>`}
        ${run.labels.map((label) => html`<a class="lab" href=${`/runs?q=label:${encodeURIComponent(label)}`}>${label}</a>`)}
      </div>
    </div>
    <${Operations} run=${run} />
  </div>`;
}

/** How long it will still take, as others took. */
function Left({ run }) {
  const now = useNow();
  const took = elapsed(run, now);
  if (run.state !== "running" || !run.usual || took === null) return null;
  if (took > run.usual.p90) return html`<span class="s-late c">${duration(took - run.usual.p90)} past its p90</span>`;
  return html`<span>${took < run.usual.p50 ? `≈ ${duration(run.usual.p50 - took)} left` : "any moment now"}</span>`;
}

/** Why it waits; which schedule made it is asked apart. */
function Waiting({ run, chain }) {
  const { value } = useGet(`/api/v2/why${asQuery({ run: run.run_id })}`);
  const origin = value && value.lines.length > value.run.why.length ? value.lines[value.lines.length - 1] : "";
  return html`<${Loaded} it=${whyTree} run=${run} chain=${chain} origin=${origin} />`;
}

function Why({ run }) {
  const now = useNow();
  const rows = gates(run, now);
  return html`<div id="why"><${Panel} title="Why"><div class="why">
    ${run.why.map((sentence) => html`<p>${told(sentence, now)}</p>`)}
    ${rows.length > 0 && html`<ul>${rows.map((row) => html`<li><${Icon} state=${row.state} /><span>${row.cond.str}</span><time>${row.begun ? clockMs(Date.parse(row.begun)) : ""}</time></li>`)}</ul>`}
  </div><//></div>`;
}

/** What a line of the log says besides its state, which stands before it. */
function saidOf({ message, state }, now) {
  const rest = state && message.startsWith(`${state}: `) ? message.slice(state.length + 2) : message;
  return rest === state ? "" : told(rest, now);
}

function Log({ run }) {
  const now = useNow();
  return html`<section class="sec panel" id="log">
    <header><h2>Log</h2><span class="sub">every move, newest first</span></header>
    <table class="log by-cause">
      <tbody>
        ${[...run.log].reverse().map(
          (line) => html`<tr key=${line.seq}>
            <td class="mono small">${clockMs(Date.parse(line.time))}</td>
            <td><${LogState} line=${line} /></td>
            <td class="said" title=${line.message}>${saidOf(line, now)}</td>
            <td class="dim hide-s">${line.cause && `by ${line.cause}`}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
}
