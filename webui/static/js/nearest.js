// What somebody may have meant by an id that is not there.
import { html, useEffect, useState } from "./preact.js";
import { get, jobPath } from "./api.js";
import { JobName } from "./parts.js";

const SHOWN = 5;
// Of two ids that share less of their letters, nobody meant the one by the other.
const LIKE = 0.25;

function pairs(text) {
  const low = text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ");
  return new Set(Array.from({ length: Math.max(0, low.length - 1) }, (_, at) => low.slice(at, at + 2)));
}

/** How alike two texts are by their pairs of letters, 0 to 1. @param {string} one @param {string} other */
export function alike(one, other) {
  const [a, b] = [pairs(one), pairs(other)];
  if (!a.size || !b.size) return one === other ? 1 : 0;
  return (2 * [...a].filter((pair) => b.has(pair)).length) / (a.size + b.size);
}

/** @param {string} id @param {string[]} ids @returns {string[]} the nearest first; none where none is near */
export function nearest(id, ids) {
  const name = (text) => text.slice(text.lastIndexOf("/") + 1);
  const scored = ids.map((one) => /** @type {[string, number]} */ ([one, Math.max(alike(id, one), 0.9 * alike(name(id), name(one)))]));
  return scored.filter(([, score]) => score >= LIKE).sort((a, b) => b[1] - a[1]).slice(0, SHOWN).map(([one]) => one);
}

/** Jobs whose ids are like one that is not there. @param {{id: string, to?: (id: string) => string}} of */
export function NearJobs({ id, to = (one) => `/job/${jobPath(one)}` }) {
  const [ids, setIds] = useState(/** @type {string[]} */ ([]));
  useEffect(() => {
    get("/api/v2/jobs").then((found) => setIds(nearest(id, found.jobs.map((job) => job.job_id))), () => setIds([]));
  }, [id]);
  return html`${ids.length > 0 && html`<ul class="near" aria-label="Nearest"><li class="dim small">Is it one of these?</li>${ids.map((one) => html`<li><${JobName} id=${one} href=${to(one)} /></li>`)}</ul>`}
    <p class="mends"><a class="btn" href="/jobs">All jobs</a></p>`;
}

/** Where to look for a run that is not there: it may be one made lately, or one gone to the archive. @param {{id: string}} of */
export function NearRuns({ id }) {
  const [last, setLast] = useState(/** @type {any} */ (null));
  useEffect(() => {
    get("/api/v2/runs?limit=1&counts=0").then((page) => setLast(page.runs[0] ?? null), () => setLast(null));
  }, [id]);
  return html`${last && html`<ul class="near"><li class="dim small">The newest run is <a href=${`/runs/${last.run_id}`}><u>${last.run_id}</u></a> <${JobName} id=${last.job_id} />.</li></ul>`}
    <p class="mends"><a class="btn" href="/runs">All runs</a></p>`;
}
