// What is paused: asked for, shown and ended. Used by the job page and the control page.
import { html } from "./preact.js";
import { Icon, Panel, Time } from "./parts.js";
import { post } from "./api.js";
import { ask } from "./dialog.js";
import { may } from "./session.js";
import { attempt, done } from "./toast.js";
import { useGet } from "./views_common.js";

const KINDS = { "all jobs": "all", "a folder": "folder", "a label": "label", "a job": "job" };

/** Ask for why and how long, then pause. @param {{kind: string, name: string, what: string}} of
 *  @param {() => void} after */
export async function pause({ kind, name, what }, after) {
  const fields = [
    { name: "reason", hint: "shown with every run that is skipped" },
    { name: "until", hint: "a time, or +2h; empty: until somebody resumes it" },
  ];
  const found = await ask({ title: `Pause ${what}?`, text: TEXT, deed: "Pause", safe: "Not now", fields });
  if (found === null) return;
  await carryOut(`Could not pause ${what}`, "/api/v2/pause", { kind, name, reason: found.reason, until: found.until || null }, `Paused: ${what}`);
  after();
}

const TEXT = "Runs that its schedules make are skipped when they are due, each on record with the reason. Runs that people or actions ask for still start.";

/** @param {{kind: string, name: string, what: string}} of @param {() => void} after */
export async function resume({ kind, name, what }, after) {
  await carryOut(`Could not resume ${what}`, "/api/v2/resume", { kind, name }, `Resumed: ${what}`);
  after();
}

async function carryOut(failed, path, body, said) {
  await attempt(failed, async () => {
    await post(path, body);
    done(said);
  });
}

/** All that is paused, with a way to pause more. */
export function Pauses() {
  const { value, again } = useGet("/api/v2/pauses");
  const more = async () => {
    const fields = [{ name: "what", options: Object.keys(KINDS) }, { name: "name", hint: "of the folder, label or job; empty for all jobs" }];
    const found = await ask({ title: "Pause what?", deed: "Go on", safe: "Not now", fields });
    if (found !== null) await pause({ kind: KINDS[found.what], name: found.name, what: found.name ? `${found.what.slice(2)} ${found.name}` : "everything" }, again);
  };
  const end = may("operator") && html`<button class="btn small" onClick=${more}>Pause…</button>`;
  const list = value?.pauses ?? [];
  return html`<${Panel} title="Paused" sub=${list.length || null} end=${end}>
    ${value && list.length === 0 && html`<p class="empty">Nothing is paused.</p>`}
    ${list.length > 0 &&
    html`<ul class="lt" data-pauses>
      ${list.map(
        (one) => html`<li key=${one.what}>
          <${Icon} state="skipped" /><span class="grow">${one.what}${one.reason && html`: <span class="dim">${one.reason}</span>`} <span class="dim">by ${one.by} since <${Time} at=${one.since} />${one.until && html` until <${Time} at=${one.until} />`}</span></span>
          ${may("operator") && html`<span class="r"><button class="btn small" onClick=${() => resume(one, again)}>Resume</button></span>`}
        </li>`,
      )}
    </ul>`}
  <//>`;
}
