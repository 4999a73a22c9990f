// How long good runs of each job usually take, of the runs that a page has seen. Pure.

// Of fewer nothing is said; of more the oldest is forgotten.
const FEW = 3;
const MOST = 64;
// A figure stays so long: bars do not change their scale under the eye with each run that ends.
const STAYS_MS = 5000;

/** @typedef {{took: Map<string, number>, said: number | undefined, saidMs: number}} Known */

export class Usual {
  /** @type {Map<string, Known>} */
  #jobs = new Map();

  /** Take note of a run, which may have been noted before. @param {any} run */
  note(run) {
    if (run.state !== "success" || typeof run.elapsed !== "number") return;
    let known = this.#jobs.get(run.job_id);
    if (!known) this.#jobs.set(run.job_id, (known = { took: new Map(), said: undefined, saidMs: -Infinity }));
    known.took.set(run.run_id, run.elapsed);
    if (known.took.size > MOST) known.took.delete(known.took.keys().next().value ?? "");
  }

  /** The median of a job in s; undefined: not enough is known. @param {string} job @param {number} ms a time that goes forward */
  of(job, ms) {
    const known = this.#jobs.get(job);
    if (!known || known.took.size < FEW) return undefined;
    if (known.said === undefined || ms - known.saidMs > STAYS_MS) {
      known.said = [...known.took.values()].sort((a, b) => a - b)[known.took.size >> 1];
      known.saidMs = ms;
    }
    return known.said;
  }
}
