// What a person may do to an agent and to its processes: asking before what cannot be undone.
import { html } from "./preact.js";
import { post } from "./api.js";
import { ask } from "./dialog.js";
import { may } from "./session.js";
import { attempt, done } from "./toast.js";

const DEEDS = {
  drain: { label: "Drain", role: "operator", said: "gets no new runs" },
  undrain: { label: "Undrain", role: "operator", said: "gets runs again" },
  shutdown: { label: "Shut down…", role: "admin", said: "is told to end", grave: true },
  revoke: { label: "Revoke…", role: "admin", said: "is cut off", grave: true },
  forget: { label: "Forget…", role: "admin", said: "is forgotten", grave: true },
};

/** What the state of an agent allows to who looks. @param {any} agent @returns {string[]} */
export function allowed(agent) {
  return possible(agent).filter((verb) => may(DEEDS[verb].role));
}

function possible(agent) {
  const drain = agent.draining ? "undrain" : "drain";
  if (agent.state === "revoked") return ["forget"];
  const verbs = agent.connected ? [drain, "shutdown"] : [drain];
  if (agent.keyed) verbs.push("revoke");
  return agent.connected ? verbs : [...verbs, "forget"];
}

async function question(agent, verb) {
  const name = agent.agent_id;
  if (verb === "shutdown") {
    const again = agent.agent_id === "local" ? " The server starts its own agent again." : "";
    const hint = "leave: they go on, and the next agentd takes them up. stop: their stop signal, their grace, then SIGKILL. kill: SIGKILL now. Both stop their runs and leave nothing on the host.";
    const fields = [{ name: "processes", label: "processes", options: ["leave", "stop", "kill"], hint }];
    return ask({ title: `Shut down agent ${name}?`, text: `agentd ends now.${again}`, deed: "Shut down", safe: "Leave it on", fields, grave: true });
  }
  if (verb === "revoke") {
    const text = "Its key is never let in again, and its id goes to no other. Its processes are left as they are; their runs become unreachable, until it is forgotten.";
    return ask({ title: `Revoke agent ${name}?`, text, deed: "Revoke", safe: "Keep it", grave: true });
  }
  if (verb === "forget") {
    const text = "For a host that is no more. The runs it had are lost, and run again where their jobs say so; a process that still runs there is not stopped.";
    return ask({ title: `Forget agent ${name}?`, text, deed: "Forget", safe: "Keep it", grave: true });
  }
  return {};
}

/** Ask if need be, do it, say how it went, look again. */
async function operate(agent, verb, again) {
  const body = await question(agent, verb);
  if (body === null) return;
  const path = `/api/v2/agents/${encodeURIComponent(agent.agent_id)}/${verb}`;
  if (await attempt(`Could not ${verb} ${agent.agent_id}`, () => post(path, body))) {
    const undo = async () => {
      if (await attempt(`Could not undrain ${agent.agent_id}`, () => post(path.replace(/drain$/, "undrain")))) again();
    };
    done(`${agent.agent_id} ${DEEDS[verb].said}`, "", "", verb === "drain" ? undo : undefined);
    again();
  }
}

export function AgentOperations({ agent, again }) {
  const verbs = allowed(agent);
  if (!verbs.length) return null;
  return html`<span class="agent-acts" role="toolbar" aria-label=${`Operations on ${agent.agent_id}`}>
    ${verbs.map(
      (verb) => html`<button key=${verb} class=${`btn small${DEEDS[verb].grave ? " kill" : ""}`} data-verb=${verb} onClick=${() => operate(agent, verb, again)}>${DEEDS[verb].label}</button>`,
    )}
  </span>`;
}

export function KillProcess({ agent, process, run, again }) {
  if (!may("operator")) return null;
  const claim = `${process.run_id}.${process.attempt}`;
  const kill = async () => {
    const what = run ? `SIGKILL goes to it and all it started, and its run ${run.run_id} is stopped.` : "SIGKILL goes to it and all it started. It is the process of no run that is under way.";
    const title = `Kill process ${process.pid || claim}${process.job_id ? ` of ${process.job_id}` : ""}?`;
    if ((await ask({ title, text: what, deed: "Kill", safe: "Leave it running", grave: true })) === null) return;
    const path = `/api/v2/agents/${encodeURIComponent(agent.agent_id)}/processes/${claim}/kill`;
    if (await attempt(`Could not kill ${claim}`, () => post(path))) {
      done(`${claim} is told to end`);
      again();
    }
  };
  return html`<button class="btn small kill" data-verb="kill" onClick=${kill}>Kill…</button>`;
}
