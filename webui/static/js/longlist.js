// A list of runs as long as the database: the rows that were looked at, and how many there are.
// Rows are in the order of time; stretches are read where they are needed, changes come by the stream.
import { useEffect, useReducer, useRef } from "./preact.js";
import { ApiError, get, query as asQuery } from "./api.js";
import { onceBack } from "./again.js";
import { due } from "./format.js";
import { stateFits, withoutStates } from "./querytext.js";
import { stream } from "./stream.js";

const STRETCH = 100;
// What moves after a rest is shown at once; what moves all the time, so often.
const FLUSH_MS = 250;
/** Runs still to come that are shown above the line of now at first. */
export const AHEAD_SHOWN = 5;
// More is not drawn: narrow the query. A browser's page has an end, too.
const MOST_ROWS = 500_000;
// Changes of runs nobody has looked at, remembered for counting; with more the figures are read anew.
const MOST_KNOWN = 20_000;
const MOVES_MS = 60_000;

/** @typedef {any} Run */

export class LongList {
  /** @param {Record<string, string>} terms @param {boolean} rising @param {() => void} redraw */
  constructor(terms, rising, redraw) {
    this.terms = terms;
    this.rising = rising;
    this.redraw = redraw;
    /** @type {(Run | null)[]} */
    this.rows = [];
    this.counts = null;
    this.total = 0;
    /** The place of the first row that is not ahead (falling), as read. */
    this.ahead = 0;
    this.fresh = 0;
    this.version = 0;
    this.loading = true;
    this.error = null;
    this.readAt = 0;
    this.nowAtRead = 0;
    this.asked = new Set();
    this.known = new Map();
    this.waiting = new Map();
    this.timer = 0;
    this.flushedMs = -FLUSH_MS;
    this.live = true;
    this.stops = [];
    this.drift = false;
    this.key = "";
    /** Whether somebody reads, so that no row may go. */
    this.reading = () => false;
    /** The rows that are looked at. */
    this.view = { first: 0, last: 0 };
    /** Asked for when what is here is no longer known to be true. */
    this.onResync = () => {};
  }

  start() {
    const offset = this.rising ? "0" : `now-${AHEAD_SHOWN}`;
    get(`/api/v2/runs-by-time${asQuery({ ...this.terms, offset, limit: STRETCH, order: this.rising ? "earliest" : "" })}`)
      .then((page) => {
        if (!this.live) return;
        this.readAt = this.nowAtRead = Date.parse(page.now);
        this.counts = page.counts;
        this.total = Math.max(page.total ?? 0, page.offset + page.runs.length);
        if (page.total === null && page.runs.length === STRETCH) this.total = MOST_ROWS;
        this.total = Math.min(this.total, MOST_ROWS);
        this.ahead = page.ahead ?? 0;
        this.rows = new Array(this.total).fill(null);
        this.#put(page.offset, page.runs);
        this.loading = false;
        this.#follow(page);
        this.tell();
        this.need(this.view.first, this.view.last);
      })
      .catch((error) => this.#failed(error, () => this.start()));
  }

  /** Something has changed. */
  tell() {
    this.version += 1;
    this.redraw();
  }

  stop() {
    this.live = false;
    clearTimeout(this.timer);
    for (const stop of this.stops) stop();
  }

  /** Read what is missing of these rows. @param {number} first @param {number} last */
  need(first, last) {
    if (this.loading) return;
    for (let at = Math.max(0, first); at < Math.min(last, this.total); at += 1) {
      if (this.rows[at] !== null) continue;
      const offset = at - (at % STRETCH);
      if (!this.asked.has(offset)) this.#read(offset);
      at = offset + STRETCH - 1;
    }
  }

  #read(offset) {
    this.asked.add(offset);
    const size = this.total;
    get(`/api/v2/runs-by-time${asQuery({ ...this.terms, offset, limit: STRETCH, counts: "0", order: this.rising ? "earliest" : "" })}`)
      .then((page) => {
        if (!this.live) return;
        // What came or went meanwhile has moved the places of those behind it.
        this.#put(offset + (this.rising ? 0 : this.total - size), page.runs);
        if (page.runs.length < STRETCH && offset + page.runs.length < this.total) this.#cut(offset + page.runs.length);
        this.tell();
      })
      .catch((error) => this.#failed(error, () => this.asked.delete(offset) && this.#read(offset)));
  }

  #put(offset, runs) {
    const have = new Map();
    this.rows.forEach((run, at) => run && have.set(run.run_id, at));
    runs.forEach((run, i) => {
      const at = offset + i;
      const before = have.get(run.run_id);
      if (at >= this.rows.length) return;
      if (before !== undefined && before !== at) this.#drifted();
      const newer = this.rows[at]?.run_id === run.run_id && (this.rows[at].version ?? 0) > run.version;
      if (!newer) this.rows[at] = run;
    });
  }

  /** The places are not what they were thought to be: the list is read anew, soon. */
  #drifted() {
    if (this.drift) return;
    this.drift = true;
    setTimeout(() => this.live && this.onResync(), 4 * FLUSH_MS);
  }

  #cut(length) {
    this.rows.length = length;
    this.total = length;
  }

  #failed(error, again) {
    if (!this.live) return;
    this.error = error instanceof ApiError ? error : new ApiError(0, String(error), null);
    this.loading = false;
    this.stops.push(onceBack(this.error, () => this.live && again()));
    this.tell();
  }

  #follow(page) {
    const { since, until, q } = this.terms;
    // All states, so that the counts of those that are not shown follow.
    const op = { topic: "runs", q: withoutStates(q ?? ""), since: since ?? "", until: until ?? "", resume: `${page.epoch}:${page.seq}` };
    this.stops.push(
      stream.follow(
        op,
        (message) => {
          for (const run of message.runs ?? []) this.waiting.set(run.run_id, run);
          for (const id of message.gone ?? message.withdrawn ?? []) this.waiting.set(id, null);
          if (this.waiting.size && !this.timer) this.timer = setTimeout(() => this.#flush(), this.flushedMs + FLUSH_MS - performance.now());
        },
        () => this.live && this.onResync(),
      ),
    );
  }

  #flush() {
    this.timer = 0;
    this.flushedMs = performance.now();
    const changes = this.waiting;
    this.waiting = new Map();
    const places = new Map();
    this.rows.forEach((run, at) => run && changes.has(run.run_id) && places.set(run.run_id, at));
    const going = [];
    const coming = [];
    for (const [id, run] of changes) {
      const at = places.get(id);
      const before = at === undefined ? undefined : this.rows[at];
      if (run && before && (before.version ?? 0) > (run.version ?? 0)) continue;
      this.#count(id, run, before);
      const fits = run && this.#fits(run);
      if (before && fits) this.rows[at] = run;
      else if (before && run) this.rows[at] = { ...run, left: true };
      else if (before) going.push(at);
      else if (fits) coming.push(run);
    }
    for (const at of going.sort((a, b) => b - a)) this.#remove(at);
    for (const run of coming) this.#insert(run);
    if (!this.reading()) this.sweep();
    if (this.known.size > MOST_KNOWN) this.onResync();
    this.tell();
  }

  /** Let what has become due by now be no longer ahead. @param {number} now */
  settle(now) {
    if (this.rising) return;
    while (this.ahead > 0 && this.rows[this.ahead - 1] && due(this.rows[this.ahead - 1]) <= now) this.ahead -= 1;
    this.nowAtRead = now;
  }

  /** Take out the rows that no longer fit the query. */
  sweep() {
    for (let at = this.rows.length - 1; at >= 0; at -= 1) if (this.rows[at]?.left) this.#remove(at);
  }

  #remove(at) {
    this.rows.splice(at, 1);
    this.total -= 1;
    if (!this.rising && at < this.ahead) this.ahead -= 1;
  }

  /** Put a run that may be new where it belongs, if that place has been looked at. */
  #insert(run) {
    const isNew = !this.#fitted(run);
    const at = this.#placeOf(run);
    if (at === null) {
      if (!isNew) return;
      // Somewhere in what was not looked at: the list is longer, that is all that is known.
      this.rows.splice(this.rising ? this.rows.length : this.#aHole(run), 0, null);
      this.asked.clear();
    } else this.rows.splice(at, 0, run);
    this.total += 1;
    this.fresh += 1;
    if (!this.rising && due(run) > this.nowAtRead) this.ahead += 1;
  }

  /** The place of a run between two rows that stand beside each other; null: not known. */
  #placeOf(run) {
    const sign = this.rising ? 1 : -1;
    const order = (other) => sign * (due(other) - due(run) || number(other) - number(run));
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      let middle = (low + high) >> 1;
      while (middle < high && this.rows[middle] === null) middle += 1;
      if (middle === high) high = (low + high) >> 1;
      else if (order(this.rows[middle]) < 0) low = middle + 1;
      else high = (low + high) >> 1;
    }
    while (low < this.rows.length && this.rows[low] && order(this.rows[low]) < 0) low += 1;
    const above = low === 0 || this.rows[low - 1] !== null;
    const below = low === this.rows.length || this.rows[low] !== null;
    return above && below ? low : null;
  }

  #aHole(run) {
    if (due(run) > this.nowAtRead) return 0;
    const hole = this.rows.lastIndexOf(null);
    return hole < 0 ? this.rows.length : hole;
  }

  #fits(run) {
    return stateFits(this.terms.q ?? "", run);
  }

  /** Whether a run of the stream was in the list when it was read. */
  #fitted(run) {
    const state = this.known.get(`was ${run.run_id}`) ?? stateAt(run, this.readAt);
    return Boolean(state) && this.#fits({ ...run, state });
  }

  #count(id, run, before) {
    const was = this.known.get(id) ?? before?.state ?? (run ? stateAt(run, this.readAt) : "scheduled");
    if (!this.known.has(`was ${id}`) && was) this.known.set(`was ${id}`, was);
    const move = (state, by) => {
      if (this.counts && state) this.counts = { ...this.counts, [state]: Math.max(0, (this.counts[state] ?? 0) + by) };
    };
    move(was, -1);
    move(run?.state, 1);
    this.known.set(id, run ? run.state : "");
  }
}

/** The list of a query; while another one is read, the one before it. `reread` asks for it anew.
 *  @param {Record<string, string>} terms @param {boolean} rising
 *  @returns {{list: LongList, stale: boolean, error: any, reread: () => void}} */
export function useLongList(terms, rising) {
  const [, redraw] = useReducer((n) => n + 1, 0);
  const [turn, reread] = useReducer((n) => n + 1, 0);
  const shown = useRef(null);
  const next = useRef(null);
  const key = JSON.stringify([terms, rising]);
  useEffect(() => {
    const list = new LongList(terms, rising, () => {
      if (next.current === list && !list.loading && !list.error) {
        shown.current?.stop();
        if (shown.current?.key === key) list.view = shown.current.view;
        shown.current = list;
        next.current = null;
      }
      redraw();
    });
    list.key = key;
    list.onResync = reread;
    next.current?.stop();
    next.current = list;
    list.start();
    // A span that is said by its distance from now moves with it.
    const moving = /^[+-]|now/.test(`${terms.since ?? ""} ${terms.until ?? ""}`) ? setInterval(reread, MOVES_MS) : 0;
    return () => clearInterval(moving);
  }, [key, turn]);
  useEffect(
    () => () => {
      shown.current?.stop();
      next.current?.stop();
    },
    [],
  );
  const list = shown.current ?? next.current ?? NOTHING;
  return { list, stale: next.current !== null && shown.current?.key !== key, error: next.current?.error ?? list.error, reread };
}

const NOTHING = new LongList({}, false, () => {});

function number(run) {
  return Number(run.run_id.slice(1));
}

/** The state a run was in at an instant; null before it was made. */
function stateAt(run, ms) {
  let found = null;
  let latest = -Infinity;
  for (const [state, at] of Object.entries(run.times ?? {})) {
    const moved = Date.parse(at);
    if (moved <= ms && moved >= latest) [found, latest] = [state, moved];
  }
  return found;
}
