// Agents: who runs processes, and which.
import { html, useEffect } from "../preact.js";
import { Args, Icon, JobName, Panel, Time, Trouble } from "../parts.js";
import { AgentOperations, KillProcess } from "../agent_operations.js";
import { agentPath } from "../api.js";
import { ago, bytes, count, counted, duration } from "../format.js";
import { useRuns } from "../runlist.js";
import { stream, useNow } from "../stream.js";
import { useGet } from "../views_common.js";

const REREAD_MS = 4000;
// What is under way is read whole unless there is very much of it.
export const BUSY_PAGE = 1000;
// Which of the console's signs stands for the state of an agent.
export const SIGNS = { active: "success", draining: "waiting", away: "lost", revoked: "skipped" };

/** What the server says of agents at an address, read again when any of them changes.
 *  @param {string} address */
export function useAgents(address) {
  const { value, error, again } = useGet(address);
  useEffect(() => {
    const stop = stream.follow({ topic: "agents" }, again, again);
    const timer = setInterval(again, REREAD_MS);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [address]);
  return { value, error, again };
}

export function AgentsView() {
  const { value, error, again } = useAgents("/api/v2/agents");
  const live = useRuns({}, { states: "starting,running,stopping", limit: BUSY_PAGE });
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  if (!value) return null;
  const agents = [...value.agents].sort((a, b) => Number(a.connected) - Number(b.connected) || a.agent_id.localeCompare(b.agent_id));
  const heard = agents.filter((agent) => agent.connected).length;
  const runs = new Map(live.runs.map((run) => [run.run_id, run]));
  const limited = agents.filter((agent) => agent.slots);
  const slots = limited.reduce((sum, agent) => sum + agent.slots, 0);
  const taken = limited.reduce((sum, agent) => sum + agent.live, 0);
  const newest = newestOf(agents);
  const behind = agents.filter((agent) => agent.software && agent.software !== newest).length;
  const busy = agents.filter((agent) => agent.processes?.length);
  return html`<div>
    <div class="top"><h1>Agents</h1><span class="dim">${count(heard)} of ${count(agents.length)} connected${slots > 0 ? ` · ${count(taken)} of ${counted(slots, "slot")} busy` : ""}${behind > 0 ? ` · ${counted(behind, "version")} behind` : ""}</span></div>
    ${agents.length === 0 ? html`<div class="panel empty">No agent has connected. The server starts one on this host; see its log.</div>` : html`<div class="panel"><${Agents} agents=${agents} newest=${newest} again=${again} /></div>`}
    ${agents.length > 0 && !busy.length && html`<p class="empty">No process runs at this moment.</p>`}
    ${busy.map(
      (agent) => html`<${Panel} key=${agent.agent_id} className="sec" title=${html`<a href=${agentPath(agent.agent_id)}>${agent.agent_id}</a>`} sub=${counted(agent.processes.length, "process", "processes")}>
        <${Processes} agent=${agent} runs=${runs} again=${again} />
      <//>`,
    )}
  </div>`;
}

/** The newest software that any of them has. */
function newestOf(agents) {
  const parts = (text) => (text ?? "").replace(/^\D*/, "").split(/[.+-]/).map((part) => Number.parseInt(part, 10) || 0);
  return agents
    .map((agent) => agent.software)
    .filter(Boolean)
    .sort((a, b) => parts(b).map((n, place) => n - (parts(a)[place] ?? 0)).find((n) => n !== 0) ?? 0)[0];
}

/** Slots that are taken, of those there are. */
export function Slots({ agent }) {
  if (!agent.slots) return null;
  const shown = Math.min(agent.slots, 32);
  const wide = 96 / shown;
  const path = (from, upto) => Array.from({ length: Math.max(0, upto - from) }, (_, place) => `M${((from + place) * wide).toFixed(1)} 0h${(wide - 1).toFixed(1)}v8h-${(wide - 1).toFixed(1)}z`).join("");
  const taken = Math.min(shown, Math.round((agent.live / agent.slots) * shown));
  return html`<svg class="slots" viewBox="0 0 96 8" role="img" aria-label=${`${agent.live} of ${agent.slots} slots`}><path class="track" d=${path(taken, shown)} /><path class="f-running" d=${path(0, taken)} /></svg>`;
}

function Agents({ agents, newest, again }) {
  const now = useNow();
  return html`<table class="runs stack agents-t">
    <colgroup><col class="col-state" /><col /><col class="col-arg hide-l" /><col class="hide-m" /><col class="col-late" /><col class="col-time" /><col class="col-late hide-m" /><col class="col-acts" /></colgroup>
    <thead><tr><th>State</th><th>Agent</th><th class="hide-l">Group</th><th class="hide-m">Slots or host</th><th class="num">Busy</th><th class="num">Heard</th><th class="hide-m">Version</th><th></th></tr></thead>
    <tbody>
      ${agents.map((agent) => {
        const sign = SIGNS[agent.state] ?? "lost";
        const host = agent.hostname ? `${agent.username}@${agent.hostname} pid ${agent.pid}` : "has not come yet";
        return html`<tr key=${agent.agent_id} data-agent=${agent.agent_id}>
          <td class="m-st"><span class=${`state s-${sign}`}><${Icon} state=${sign} /><span>${agent.state}</span></span></td>
          <td class="m-a strong"><a href=${agentPath(agent.agent_id)}>${agent.agent_id}</a>${agent.labels.map((label) => html` <span class="lab" key=${label}>${label}</span>`)}</td>
          <td class="hide-l"><span class="lab">${agent.group_id}</span></td>
          <td class="dim cut hide-m" title=${host}>${agent.slots ? html`<${Slots} agent=${agent} />` : host}</td>
          <td class="m-d num">${count(agent.live)}${agent.slots ? html`<span class="dim"> of ${count(agent.slots)}</span>` : null}<span class="only-s"> busy</span></td>
          <td class="m-b num">${agent.connected ? ago((now - Date.parse(agent.last_seen)) / 1000) : html`<${Time} at=${agent.last_seen} />`}</td>
          <td class=${`hide-m ${agent.software && agent.software !== newest ? "late" : "dim"}`}>${agent.software?.replace(/^callsheet /, "") || html`<span class="z">–</span>`}</td>
          <td class="m-c num"><${AgentOperations} agent=${agent} again=${again} /></td>
        </tr>`;
      })}
    </tbody>
  </table>`;
}

export function Processes({ agent, runs, again }) {
  return html`<table class="runs stack">
    <colgroup><col class="col-state" /><col class="col-el" /><col /><col class="col-late hide-m" /><col class="col-late hide-m" /><col class="col-time" /><col class="col-run" /><col class="col-late" /></colgroup>
    <thead><tr><th>State</th><th class="num">pid</th><th>What</th><th class="num hide-m">Memory</th><th class="num hide-m">CPU</th><th class="num">Since</th><th class="num">Run</th><th></th></tr></thead>
    <tbody>
      ${agent.processes.map((process) => {
        const run = runs.get(process.run_id);
        const lives = process.state === "running" || process.state === "unkept";
        const state = run?.state ?? (process.stopping ? "stopping" : lives ? "running" : process.state === "done" ? "success" : process.state === "lost" ? "lost" : "starting");
        const name = process.job_id || process.run_id;
        return html`<tr key=${`${process.run_id}.${process.attempt}`} data-process=${`${process.run_id}.${process.attempt}`}>
          <td class="m-st"><span class=${`state s-${state}`}><${Icon} state=${state} /><span>${lives || run ? state : process.state}</span></span></td>
          <td class="m-d num mono">${process.pid || "–"}</td>
          <td class="m-a">${run ? html`<${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} />` : html`<a href=${`/runs/${process.run_id}`}>${name}</a>`}${process.attempt > 1 && html` <span class="dim">attempt ${process.attempt}</span>`}</td>
          <td class="num hide-m">${process.rss_bytes ? bytes(process.rss_bytes) : html`<span class="z">–</span>`}</td>
          <td class="num hide-m">${process.rss_bytes ? duration(process.cpu_s) : html`<span class="z">–</span>`}</td>
          <td class="m-b num"><${Time} at=${process.started} /></td>
          <td class="num"><a class="rid" href=${`/runs/${process.run_id}`}>${process.run_id}</a></td>
          <td class="m-c num">${lives && html`<${KillProcess} agent=${agent} process=${process} run=${run} again=${again} />`}</td>
        </tr>`;
      })}
    </tbody>
  </table>`;
}
