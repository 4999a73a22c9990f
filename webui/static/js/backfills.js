// Backfills: a job run for times that are over, so many at once. Asked for with a look first; progress.
import { html } from "./preact.js";
import { Args, Icon, Panel, Time } from "./parts.js";
import { post, query as asQuery } from "./api.js";
import { ask } from "./dialog.js";
import { count, counted } from "./format.js";
import { may } from "./session.js";
import { attempt, done } from "./toast.js";
import { useGet, useRefreshed } from "./views_common.js";

const REREAD_MS = 2000;
const SHOWN = 5;
const WAYS = { "oldest first": "oldest", "newest first": "newest" };
const ORDER = ["success", "failure", "error", "lost", "skipped", "running", "waiting"];
const AS = { starting: "running", stopping: "running", scheduled: "waiting" };

/** Ask for a span, look at what it would run, then begin. @param {any} job the API's job */
export async function backfill(job) {
  const fields = [
    { name: "@from", label: "from", value: "-7d", hint: "a date, a time with its zone, or -7d" },
    { name: "@to", label: "to", value: "now" },
    { name: "@parallel", label: "at once", value: "1", hint: "so many runs at the same time" },
    { name: "@order", label: "order", options: Object.keys(WAYS) },
    { name: "@again", label: "times with a run", options: ["leave out", "run again"] },
    ...job.params.map((name) => ({ name, label: name, value: "", hint: "only runs with this; empty: all" })),
  ];
  const text = "Runs its schedules name between two times, as one group with progress and a stop.";
  const found = await ask({ title: `Backfill ${job.job_id}`, text, deed: "Look what it would run", fields });
  if (found === null) return;
  const args = Object.fromEntries(job.params.filter((name) => found[name]).map((name) => [name, found[name]]));
  const body = {
    job_id: job.job_id,
    from: found["@from"],
    to: found["@to"],
    parallel: Number(found["@parallel"]) || 1,
    order: WAYS[found["@order"]],
    again: found["@again"] === "run again",
    ...(Object.keys(args).length ? { args } : {}),
  };
  const failed = `Could not backfill ${job.job_id}`;
  const plan = await attempt(failed, () => post("/api/v2/backfills", { ...body, dry_run: true }));
  if (!plan) return;
  const n = plan.runs.length;
  if (n === 0) {
    done("There is nothing to run", `${count(plan.left_out)} times have a run already`);
    return;
  }
  const first = plan.runs[0];
  const last = plan.runs[n - 1];
  const said = html`${counted(n, "run")}, from <${Time} at=${first.schedule_time} /> to <${Time} at=${last.schedule_time} />, ${count(body.parallel)} at once.${plan.left_out ? ` ${counted(plan.left_out, "time")} that have a run are left out.` : ""}`;
  if ((await ask({ title: `Run ${job.job_id} ${counted(n, "time")}?`, text: said, deed: `Run ${count(n)}`, safe: "Not now" })) === null) return;
  const answer = await attempt(failed, () => post("/api/v2/backfills", body));
  if (answer) done(`Backfill ${answer.backfill.backfill_id} has begun`, counted(n, "run"), runsOf(answer.backfill));
}

function runsOf(one) {
  return `/runs${asQuery({ q: `backfill:${one.backfill_id}` })}`;
}

/** The backfills of a job, those under way with their progress. @param {{jobId: string}} of */
export function Backfills({ jobId }) {
  const { value, again } = useGet("/api/v2/backfills?limit=100");
  useRefreshed(again, REREAD_MS);
  const its = (value?.backfills ?? []).filter((one) => one.job_id === jobId);
  if (!its.length) return null;
  const stop = async (one) => {
    const fields = [{ name: "reason", hint: "kept with it" }];
    const text = `${counted(one.counts.pending ?? 0, "run")} that have not begun are withdrawn; those under way go on.`;
    const found = await ask({ title: `Stop backfill ${one.backfill_id}?`, text, deed: "Stop it", safe: "Let it go on", fields });
    if (found === null) return;
    if (await attempt(`Could not stop ${one.backfill_id}`, () => post(`/api/v2/backfills/${one.backfill_id}/stop`, found))) again();
  };
  return html`<${Panel} title="Backfills" sub=${its.length}>
    <ul class="lt backfills">
      ${its.slice(0, SHOWN).map(
        (one) => html`<li key=${one.backfill_id} data-backfill=${one.backfill_id} data-state=${one.state}>
          <${Icon} state=${one.state === "done" ? "success" : one.state === "stopped" ? "skipped" : "running"} />
          <span class="grow"><a href=${runsOf(one)}><b>${one.backfill_id}</b></a> ${one.state} <${Args} args=${one.args ?? {}} /><div class="faint small"><${Time} at=${one.from} /> to <${Time} at=${one.to} />, ${said(one)}</div><${Progress} one=${one} /></span>
          ${one.state === "running" && may("operator") && html`<button class="btn small" onClick=${() => stop(one)}>Stop…</button>`}
        </li>`,
      )}
    </ul>
  <//>`;
}

function said(one) {
  const ended = ["success", "failure", "error", "lost", "skipped"].reduce((sum, state) => sum + (one.counts[state] ?? 0), 0);
  return `${count(ended)} of ${count(one.total)} over`;
}

function Progress({ one }) {
  const parts = {};
  for (const [state, n] of Object.entries(one.counts)) {
    if (state !== "pending") parts[AS[state] ?? state] = (parts[AS[state] ?? state] ?? 0) + n;
  }
  let x = 0;
  return html`<svg class="prog" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=${said(one)}>
    <rect class="track" width="100" height="6" />
    ${ORDER.map((state) => {
      const wide = ((parts[state] ?? 0) / Math.max(1, one.total)) * 100;
      x += wide;
      return wide > 0 && html`<rect key=${state} class=${`f-${state}`} x=${x - wide} width=${wide} height="6" />`;
    })}
  </svg>`;
}
