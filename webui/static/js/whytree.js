// Why a run has not started: each gate in order, and below the one that blocks what that waits for.
import { html } from "./preact.js";
import { copy } from "./clipboard.js";
import { Args, Icon, JobName, Panel, State, Time } from "./parts.js";
import { clock, due, duration, elapsed, shownState, told } from "./format.js";
import { operate } from "./operations.js";
import { gates } from "./gates.js";
import { may } from "./session.js";
import { useNow } from "./stream.js";
import { useGet } from "./views_common.js";

/** In place of the output, before a run has started. */
export function WhyTree({ run, chain, origin }) {
  const now = useNow();
  const rows = gates(run, now);
  // What the gates say already is not said again.
  const others = run.why.filter((sentence) => !sentence.startsWith("It waits until ") && !sentence.startsWith("It is held: "));
  const text = () => [`${run.job_id} ${run.run_id} is ${run.state}`, ...run.why, ...rows.map((one) => `${one.state}: ${one.cond.str} ${one.note}`)].join("\n");
  return html`<div id="why"><${Panel} title="Why it has not started" sub="changes live" end=${html`<button class="btn plain small" onClick=${() => copy(text(), "why")}>Copy as text</button>`}>
    <table class="whyt">
      <tbody>
        <tr>
          <td><${Icon} state=${due(run) <= now ? "success" : "scheduled"} /></td>
          <td>Due <b><${Time} at=${run.schedule_time} /></b>${run.deadlines?.start_by && html`, must start by <b><${Time} at=${run.deadlines.start_by} /></b>`}${origin && html`<div class="faint small">${told(origin, now)}</div>`}</td>
          <td class="num faint">${due(run) > now ? `in ${duration((due(run) - now) / 1000)}` : ""}</td>
        </tr>
        <tr>
          <td><${Icon} state=${run.held ? "held" : "success"} /></td>
          <td>${run.held ? html`It is held: it does not start until someone releases it${run.reason ? `: “${run.reason}”` : ""}` : "not held, not skipped"}</td>
          <td class="num"></td>
        </tr>
        ${run.not_before && Date.parse(run.not_before) > now && html`<tr><td><${Icon} state="waiting" /></td><td>It is tried again no earlier than <${Time} at=${run.not_before} /></td><td class="num"></td></tr>`}
        ${rows.map(
          (row, place) => html`<tr key=${place} data-gate=${row.state}>
              <td><${Icon} state=${row.state} /></td>
              <td>${place + 1}. <b>${row.cond.str}</b>${row.note && html`<div class="faint small">${row.note}</div>`}</td>
              <td class="num faint">${row.when}</td>
            </tr>
            ${row.state === "waiting" && needsOf(chain, row.cond).map((need) => html`<${Need} key=${`n${place}`} need=${need} now=${now} depth=${1} />`)}`,
        )}
        ${rows.length === 0 && html`<tr><td><${Icon} state="success" /></td><td>It has no conditions.</td><td></td></tr>`}
      </tbody>
    </table>
    ${others.length > 0 && html`<div class="why">${others.map((sentence) => html`<p>${told(sentence, now)}</p>`)}</div>`}
  <//></div>`;
}

function needsOf(chain, cond) {
  return (chain?.needs ?? []).filter((need) => need.job_id === cond.job_id && (!cond.args || JSON.stringify(sorted(need.args)) === JSON.stringify(sorted(cond.args))));
}

function sorted(args) {
  return Object.fromEntries(Object.entries(args).sort(([a], [b]) => a.localeCompare(b)));
}

/** What is waited for, and again what that waits for, three deep. */
function Need({ need, now, depth }) {
  const { run } = need;
  if (!run) {
    return html`<tr class="in"><td></td><td class="w1"><span class="state s-scheduled"><${Icon} state="scheduled" /></span> there is no such run: <${JobName} id=${need.job_id} /> <${Args} args=${need.args} /></td><td class="num faint"></td></tr>`;
  }
  const took = elapsed(run, now);
  return html`<tr class="in">
      <td></td>
      <td class=${`w${depth}`}>
        <${State} run=${run} /> <a href=${`/runs/${run.run_id}`}>${run.run_id}</a> <${JobName} id=${run.job_id} /> <${Args} args=${run.args} />
        <div class="faint small">${run.reason ?? ""}${run.agent ? ` on ${run.agent}` : ""}${took === null ? "" : `, for ${duration(took)}`}</div>
      </td>
      <td class="num faint">${run.times[run.state] ? `since ${clock(Date.parse(run.times[run.state]))}` : ""}</td>
    </tr>
    ${run.state === "waiting" && depth < 3 && html`<${Deeper} runId=${run.run_id} now=${now} depth=${depth + 1} />`}`;
}

function Deeper({ runId, now, depth }) {
  const { value } = useGet(`/api/v2/runs/${runId}/chain`);
  return (value?.needs ?? []).filter((need) => need.run?.state !== "success").map((need) => html`<${Need} need=${need} now=${now} depth=${depth} />`);
}

/** What a person may do about a run that waits. */
export function WaysOut({ run, chain }) {
  const blocking = (chain?.needs ?? []).filter((need) => need.run && need.run.state !== "success");
  const may_ = may("operator");
  return html`<${Panel} title="Ways out">
    <ul class="lt ways">
      ${may_ && html`<li><span class="grow">Start it now, past its conditions</span><button class="btn small" onClick=${() => operate(run, "start")}>Start…</button></li>`}
      ${blocking.map((need) => html`<li key=${need.run.run_id}><span class="grow">Look at what it waits for, which is ${shownState(need.run)}</span><a class="btn small" href=${`/runs/${need.run.run_id}`}>${need.run.run_id}</a></li>`)}
      ${may_ && run.held && html`<li><span class="grow">Release it</span><button class="btn small" onClick=${() => operate(run, "release")}>Release</button></li>`}
      ${may_ && html`<li><span class="grow">Leave it out</span><button class="btn small" onClick=${() => operate(run, "skip")}>Skip…</button></li>`}
    </ul>
  <//>`;
}
