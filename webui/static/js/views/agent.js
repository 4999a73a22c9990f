// One agent: where it is, what may be done to it, its processes, and the runs it had last.
import { html, useEffect } from "../preact.js";
import { Args, Elapsed, Icon, JobName, Panel, State, Time, Trouble } from "../parts.js";
import { AgentOperations } from "../agent_operations.js";
import { agentPath, query as asQuery } from "../api.js";
import { ago, count, counted, due, reason } from "../format.js";
import { nearest } from "../nearest.js";
import { useRuns } from "../runlist.js";
import { useNow } from "../stream.js";
import { useGet } from "../views_common.js";
import { BUSY_PAGE, Processes, SIGNS, Slots, useAgents } from "./agents.js";

const RUNS = 30;

/** @param {{id: string}} of */
export function AgentView({ id: agentId }) {
  const now = useNow();
  const { value, error, again } = useAgents(`/api/v2/agents/${encodeURIComponent(agentId)}`);
  const q = `agent:${JSON.stringify(agentId)}`;
  const live = useRuns({}, { states: "starting,running,stopping", limit: BUSY_PAGE });
  const had = useRuns({ q }, { limit: RUNS });
  useEffect(() => {
    document.title = `${agentId} · callsheet`;
  }, [agentId]);
  if (error && (!value || error.status === 404)) return html`<${Trouble} error=${error} again=${again}>${error.status === 404 && html`<${Others} id=${agentId} />`}<//>`;
  if (!value) return null;
  const { agent } = value;
  const sign = SIGNS[agent.state] ?? "lost";
  const runs = new Map(live.runs.map((run) => [run.run_id, run]));
  const past = had.runs.filter((run) => run.state !== "scheduled").sort((a, b) => due(b) - due(a)).slice(0, RUNS);
  const processes = agent.processes ?? [];
  return html`<div data-agent=${agent.agent_id}>
    <div class="head">
      <div>
        <div class="crumbs"><a href="/agents">Agents</a></div>
        <h1>${agent.agent_id}</h1>
        <div class="facts">
          <span class=${`state s-${sign}`}><${Icon} state=${sign} /><span>${agent.state}</span></span>
          <span><i>group</i>${agent.group_id}</span>
          ${agent.hostname && html`<span><i>at</i>${agent.username}@${agent.hostname} pid ${agent.pid}</span>`}
          <span><i>busy</i>${count(agent.live)}${agent.slots ? html` of ${count(agent.slots)} <${Slots} agent=${agent} />` : null}</span>
          <span><i>heard</i>${agent.connected ? ago((now - Date.parse(agent.last_seen)) / 1000) : html`<${Time} at=${agent.last_seen} />`}</span>
          <span><i>known since</i><${Time} at=${agent.first_seen} /></span>
          <span><i>connected</i>${counted(agent.connections, "time")}</span>
          ${agent.software && html`<span><i>software</i>${agent.software}</span>`}
          ${agent.labels.map((label) => html`<span class="lab" key=${label}>${label}</span>`)}
        </div>
      </div>
      <div class="acts-r"><${AgentOperations} agent=${agent} again=${again} /></div>
    </div>
    <${Panel} title="Processes" sub=${processes.length ? count(processes.length) : ""}>
      ${processes.length ? html`<${Processes} agent=${agent} runs=${runs} again=${again} />` : html`<p class="empty slim">It keeps no process at this moment.</p>`}
    <//>
    <${Panel} className="sec" title="Runs" sub="the latest it had" end=${html`<a class="btn plain small" href=${`/runs${asQuery({ q })}`}>All in Runs</a>`}>
      ${past.length ? html`<${Had} runs=${past} now=${now} />` : html`<p class="empty slim">${had.loading ? " " : "It has had none."}</p>`}
    <//>
  </div>`;
}

function Had({ runs, now }) {
  return html`<table class="runs stack">
    <colgroup><col class="col-state" /><col /><col class="col-time" /><col class="col-el-s" /><col class="hide-m" /><col class="col-run" /></colgroup>
    <thead><tr><th>State</th><th>Job</th><th class="num">Scheduled</th><th class="num">Elapsed</th><th class="hide-m">Why, or result</th><th class="num">Run</th></tr></thead>
    <tbody>
      ${runs.map(
        (run) => html`<tr key=${run.run_id} data-run=${run.run_id}>
          <td class="m-st"><${State} run=${run} /></td>
          <td class="m-a"><${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
          <td class="m-b num"><${Time} at=${run.schedule_time} /></td>
          <td class="m-d num"><${Elapsed} run=${run} /></td>
          <td class="dim cut hide-m" title=${reason(run, now)}>${reason(run, now)}</td>
          <td class="m-c num"><a class="rid" href=${`/runs/${run.run_id}`}>${run.run_id}</a></td>
        </tr>`,
      )}
    </tbody>
  </table>`;
}

/** Agents whose ids are like one that is not there. */
function Others({ id }) {
  const { value } = useGet("/api/v2/agents");
  const ids = nearest(id, (value?.agents ?? []).map((agent) => agent.agent_id));
  return html`${ids.length > 0 && html`<ul class="near" aria-label="Nearest"><li class="dim small">Is it one of these?</li>${ids.map((one) => html`<li key=${one}><a href=${agentPath(one)}>${one}</a></li>`)}</ul>`}
    <p class="mends"><a class="btn" href="/agents">All agents</a></p>`;
}
