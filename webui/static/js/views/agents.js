// Agents: who runs processes, and which.
import { html, useEffect } from "../preact.js";
import { Icon, Panel, Time, Trouble } from "../parts.js";
import { count } from "../format.js";
import { stream } from "../stream.js";
import { useGet } from "../views_common.js";

const REREAD_MS = 4000;

export function AgentsView() {
  const { value, error, again } = useGet("/api/v2/agents");
  useEffect(() => {
    const stop = stream.follow({ topic: "agents" }, again, again);
    const timer = setInterval(again, REREAD_MS);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, []);
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  if (!value) return null;
  const silent = value.agents.filter((agent) => !agent.connected).length;
  return html`<div>
    <div class="top"><h1>Agents</h1><span class="dim">${value.agents.length - silent} of ${value.agents.length} connected</span></div>
    ${value.agents.length === 0 && html`<div class="panel empty">No agent has connected. The server starts one on this host; see its log.</div>`}
    ${[...value.agents]
      .sort((a, b) => Number(a.connected) - Number(b.connected))
      .map(
        (agent) => html`<${Panel}
          key=${agent.agent_id}
          className="sec"
          title=${html`<span class=${`state s-${agent.connected ? "success" : "late"}`}><${Icon} state=${agent.connected ? "success" : "late"} /><span>${agent.agent_id}</span></span>`}
          sub=${`group ${agent.group_id} · ${agent.username}@${agent.hostname} · pid ${agent.pid}${agent.software ? ` · ${agent.software}` : ""}`}
          end=${html`<span class="small dim">${agent.connected ? html`${count(agent.live)} processes` : html`silent since <${Time} at=${agent.last_seen} />`}</span>`}
        >
          ${agent.processes?.length
            ? html`<table>
                <thead><tr><th>Run</th><th>Process</th><th class="num">Attempt</th><th class="num">Pid</th><th class="num">Since</th></tr></thead>
                <tbody>
                  ${agent.processes.map(
                    (process) => html`<tr key=${process.run_id}>
                      <td><a class="rid" href=${`/runs/${process.run_id}`}>${process.run_id}</a></td><td>${process.state}</td><td class="num">${process.attempt}</td><td class="num mono">${process.pid || "–"}</td><td class="num"><${Time} at=${process.started} /></td>
                    </tr>`,
                  )}
                </tbody>
              </table>`
            : html`<p class="empty small">It keeps no process now.</p>`}
        <//>`,
      )}
  </div>`;
}
