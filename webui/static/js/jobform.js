// Running a job now, or at a time: a form made from its params, filled with what is likely.
import { post } from "./api.js";
import { ask } from "./dialog.js";
import { go } from "./router.js";
import { may } from "./session.js";
import { timeOf } from "./times.js";
import { attempt, done, failed } from "./toast.js";

const WHEN = "@when";

/** A param's field: what it may be, what is likely. @param {string} name @param {any} spec @param {string} likely */
export function fieldOf(name, spec, likely) {
  const said = [spec?.description, spec?.type && spec.type !== "choice" && spec.type !== "str" ? spec.type : "", bounds(spec), spec?.default === undefined || spec?.default === null ? "" : `default ${spec.default}`].filter(Boolean);
  const value = likely ?? spec?.default ?? "";
  const choices = spec?.choices?.map(String) ?? (spec?.type === "bool" ? ["true", "false"] : null);
  // What is likely stands first: that is what a list shows before it is touched.
  const options = choices && [...choices.filter((one) => one === value), ...choices.filter((one) => one !== value)];
  return { name, label: name, value, options, hint: said.join(" · ") };
}

function bounds(spec) {
  const parts = [spec?.min !== undefined && spec.min !== null ? `from ${spec.min}` : "", spec?.max !== undefined && spec.max !== null ? `to ${spec.max}` : ""];
  return parts.filter(Boolean).join(" ") || (spec?.pattern ? `like ${spec.pattern}` : "");
}

/** Ask for the args, make the run, go there. @param {any} value the job's page of the API @param {number} now */
export async function runNow(value, now) {
  const { job } = value;
  if (!may("operator")) {
    failed(`Could not run ${job.job_id}`, { message: "that takes the role operator" });
    return;
  }
  const latest = value.recent[0]?.args ?? value.next[0]?.args ?? {};
  const fields = job.params.map((name) => fieldOf(name, job.param_specs?.[name], latest[name]));
  fields.push({ name: WHEN, label: "when", value: "now", hint: "now, +10m, 18:30, or a date and time in the shown zone" });
  const conditions = job.condition.length ? ` It waits for its ${job.condition.length === 1 ? "condition" : `${job.condition.length} conditions`} as any run does.` : "";
  const found = await ask({ title: `Run ${job.job_id}`, text: `${job.params.length ? "" : "It has no params."}${conditions}`.trim() || null, deed: "Run now", fields });
  if (found === null) return;
  const { [WHEN]: when, ...args } = found;
  const body = { job_id: job.job_id, args, times: { schedule: timeOf(when, now) } };
  const answer = await attempt(`Could not run ${job.job_id}`, () => post("/api/v2/runs", body));
  if (!answer) return;
  const [made] = answer.runs;
  done(`${job.job_id} is ${made.run_id}`, "", `/runs/${made.run_id}`);
  go(`/runs/${made.run_id}`);
}
