// What is read as it is written: the definition and the JSON of a run, and of a job. Loaded when somebody asks for it.
import { html } from "./preact.js";
import { Trouble } from "./parts.js";
import { jobPath, query as asQuery } from "./api.js";
import { DiffPanel, Source } from "./source.js";
import { useGet } from "./views_common.js";
import { toYaml } from "./yaml.js";

/** @param {{value: any, asked: string, close: () => void}} of */
export function JobSource({ value, asked, close }) {
  if (asked === "yaml") return html`<${Source} id="yaml" title="As a job file" text=${toYaml(value.file)} close=${close} />`;
  return html`<${Source} id="json" title="JSON" text=${JSON.stringify(value.job, null, 2)} href=${`/api/v2/jobs/${jobPath(value.job.job_id)}`} close=${close} />`;
}

/** @param {{run: any, asked: string, close: () => void}} of */
export function RunSource({ run, asked, close }) {
  if (asked === "json") return html`<${Source} id="json" title="JSON" text=${JSON.stringify(run, null, 2)} href=${`/api/v2/runs/${run.run_id}`} close=${close} />`;
  return html`<${Definition} run=${run} asked=${asked} close=${close} />`;
}

/** The definition the run was bound to, or what has changed in it since. */
function Definition({ run, asked, close }) {
  const stored = useGet(`/api/v2/definitions${asQuery({ hash: run.definition })}`);
  const current = useGet(`/api/v2/jobs/${jobPath(run.job_id)}`);
  if (!stored.value) return stored.error ? html`<${Trouble} error=${stored.error} again=${stored.again} />` : null;
  const file = stored.value.files[run.definition];
  if (!file) return html`<p class="panel empty slim">The definition ${run.definition} is not kept any more.</p>`;
  if (asked === "definition") return html`<${Source} id="definition" title=${`Definition ${run.definition.slice(0, 10)}`} text=${toYaml(file)} close=${close} />`;
  if (current.error?.status === 404) return html`<p class="panel empty slim">The job is gone.</p>`;
  if (!current.value) return null;
  return html`<${DiffPanel} id="diff" title="Since this run was bound" sub=${`${run.definition.slice(0, 10)} → ${current.value.hash.slice(0, 10)}`} before=${toYaml(file)} after=${toYaml(current.value.file)} close=${close} />`;
}
