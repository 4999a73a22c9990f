// Running a run again as it was not: with other args, another definition, and what ran because of it.
import { html } from "./preact.js";
import { Args, JobName } from "./parts.js";
import { post } from "./api.js";
import { ask } from "./dialog.js";
import { counted } from "./format.js";
import { go } from "./router.js";
import { attempt, done } from "./toast.js";

const SHOWN = 10;
const DEFINITIONS = { "the job's, as it is now": "current", "this run's, as it was": "stored" };
const WITH = "and what ran because of it";

/** @param {any} run */
export async function rerunWith(run) {
  const names = Object.keys(run.args);
  const fields = [
    ...names.map((name) => ({ name, label: name, value: run.args[name] })),
    { name: "@definition", label: "definition", options: Object.keys(DEFINITIONS) },
    { name: "@downstream", label: "which", options: ["only this run", WITH] },
    { name: "@reason", label: "reason", hint: "kept in the log of the new run" },
  ];
  const found = await ask({ title: `Run ${run.job_id} ${run.run_id} again`, text: null, deed: "Rerun", fields });
  if (found === null) return;
  const args = Object.fromEntries(names.filter((name) => found[name] !== run.args[name]).map((name) => [name, found[name]]));
  const body = { definition: DEFINITIONS[found["@definition"]], reason: found["@reason"], ...(Object.keys(args).length ? { args } : {}) };
  if (found["@downstream"] === WITH) await withDownstream(run, body);
  else await alone(run, body);
}

async function alone(run, body) {
  const answer = await attempt(`Could not rerun ${run.run_id}`, () => post(`/api/v2/runs/${run.run_id}/rerun`, body));
  if (!answer) return;
  const [made] = answer.runs;
  done(`Rerun of ${run.job_id} is ${made.run_id}`, "", `/runs/${made.run_id}`);
  go(`/runs/${made.run_id}`);
}

/** A look at all that would run, then all of it, each after what it waits for. */
async function withDownstream(run, body) {
  const failed = `Could not rerun what follows ${run.run_id}`;
  const wish = { verb: "rerun", runs: [run.run_id], downstream: true, ...body };
  const plan = await attempt(failed, () => post("/api/v2/operations/preview", wish));
  if (!plan) return;
  const order = plan.downstream?.order ?? [];
  const text = html`In this order, each after what it waits for:
    <ul class="lt">
      ${order.slice(0, SHOWN).map((one) => html`<li key=${one.run_id}><span class="grow"><${JobName} id=${one.job_id} href=${null} /> <${Args} args=${one.args} /></span><span class="r">${one.run_id}</span></li>`)}
      ${order.length > SHOWN && html`<li class="faint">and ${order.length - SHOWN} more</li>`}
    </ul>`;
  const n = counted(order.length, "run");
  if ((await ask({ title: `Run ${n} again?`, text, deed: `Rerun ${n}`, safe: "Not now" })) === null) return;
  const answer = await attempt(failed, () => post("/api/v2/operations", { preview: plan.preview }));
  if (answer) done(`${n} run again`, (answer.operation ?? answer).operation_id ?? "");
}
