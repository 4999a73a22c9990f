// A list of runs as long as the database: the rows that were looked at, and how many there are.
// Rows are in the order of time; stretches are read where they are needed, changes come by the stream.
import { useEffect, useLayoutEffect, useReducer, useRef } from "./preact.js";
import { ApiError, get, query as asQuery } from "./api.js";
import { onceBack } from "./again.js";
import { due } from "./format.js";
import { Pace, SLOW_MS } from "./pace.js";
import { statesTest, withoutStates } from "./querytext.js";
import { Sequence } from "./sequence.js";
import { stream } from "./stream.js";
import { Usual } from "./usual.js";

const STRETCH = 100;
/** Runs still to come that are shown above the line of now at first. */
export const AHEAD_SHOWN = 5;
// More is not drawn: narrow the query. A browser's page has an end, too.
const MOST_ROWS = 500_000;
// Changes of runs nobody has looked at, remembered for counting; with more the figures are read anew.
const MOST_KNOWN = 20_000;
const MOVES_MS = 60_000;
// A list whose places were found to be wrong is read anew after this time.
const DRIFT_MS = 1000;

/** @typedef {any} Run */

/** What a list reads first. @param {Record<string, string>} terms @param {boolean} rising */
export function firstStretch(terms, rising) {
  const offset = rising ? "0" : `now-${AHEAD_SHOWN}`;
  return `/api/v2/runs-by-time${asQuery({ ...terms, offset, limit: STRETCH, order: rising ? "earliest" : "" })}`;
}

export class LongList {
  /** @param {Record<string, string>} terms @param {boolean} rising @param {() => void} redraw */
  constructor(terms, rising, redraw) {
    this.terms = terms;
    this.rising = rising;
    this.redraw = redraw;
    this.rows = rowsOf(0);
    /** Those of the rows that run another one again. @type {Map<string, Run>} */
    this.reruns = new Map();
    this.usual = new Usual();
    this.counts = null;
    /** The place of the first row that is not ahead (falling), as read. */
    this.ahead = 0;
    this.fresh = 0;
    this.version = 0;
    this.loading = true;
    this.error = null;
    this.readAt = 0;
    this.nowAtRead = 0;
    /** The beginnings of the stretches that are on their way. */
    this.asked = new Set();
    this.known = new Map();
    this.waiting = new Map();
    this.leaving = new Set();
    this.fits = statesTest(terms.q ?? "");
    this.pace = new Pace(() => this.#flush());
    this.movedMs = -SLOW_MS;
    this.live = true;
    this.stops = [];
    this.drift = false;
    this.key = "";
    /** Whether the pointer is on the rows, so that none may go. */
    this.reading = () => false;
    /** Whether the pointer or the keyboard is there, so that rows are not to jump. */
    this.watched = () => false;
    /** The rows that are looked at; none yet. */
    this.view = { first: -1, last: -1 };
    /** Which way one looks on: 1 down, -1 up, 0 not known. */
    this.going = 0;
    /** Asked for when what is here is no longer known to be true. */
    this.onResync = () => {};
  }

  /** How many there are, known or not. */
  get total() {
    return this.rows.length;
  }

  start() {
    get(firstStretch(this.terms, this.rising))
      .then((page) => {
        if (!this.live) return;
        this.error = null;
        this.readAt = this.nowAtRead = Date.parse(page.now);
        this.counts = page.counts;
        const least = page.offset + page.runs.length;
        const total = page.total === null && page.runs.length === STRETCH ? MOST_ROWS : Math.max(page.total ?? 0, least);
        this.ahead = page.ahead ?? 0;
        this.rows = rowsOf(Math.min(total, MOST_ROWS));
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
    this.pace.stop();
    for (const stop of this.stops) stop();
  }

  /** These rows are looked at: read what is missing of them, and then of those to which one is scrolling.
   *  @param {number} first @param {number} last */
  look(first, last) {
    if (this.view.first >= 0 && first !== this.view.first) this.going = Math.sign(first - this.view.first);
    this.view = { first, last };
    this.need(first, last);
    if (this.going > 0) this.need(last, last + STRETCH);
    else if (this.going < 0) this.need(first - STRETCH, first);
  }

  /** Read what is missing of these rows. @param {number} first @param {number} last */
  need(first, last) {
    // Where places are known to be wrong, what is read fills no gap.
    if (this.loading || this.drift) return;
    const from = Math.max(0, first);
    const offsets = new Set();
    this.rows.slice(from, last).forEach((run, i) => run ?? offsets.add(from + i - ((from + i) % STRETCH)));
    for (const offset of offsets) if (!this.asked.has(offset)) this.#read(offset);
  }

  #read(offset) {
    this.asked.add(offset);
    const size = this.total;
    get(`/api/v2/runs-by-time${asQuery({ ...this.terms, offset, limit: STRETCH, counts: "0", order: this.rising ? "earliest" : "" })}`)
      .then((page) => {
        if (!this.live) return;
        this.error = null;
        this.asked.delete(offset);
        // What came or went meanwhile has moved the places of those behind it.
        const moved = this.total - size;
        const at = offset + (this.rising ? 0 : moved);
        this.#put(at, page.runs);
        if (page.runs.length < STRETCH && offset + page.runs.length < size) this.#cut(at + page.runs.length);
        this.tell();
      })
      .catch((error) => this.#failed(error, () => this.#read(offset)));
  }

  #put(offset, runs) {
    runs.slice(0, Math.max(0, this.total - offset)).forEach((run, i) => {
      const place = this.rows.placeOf(run.run_id);
      if (place < 0) this.#have(run, offset + i);
      else if (place !== offset + i) this.#drifted();
      else if (!((this.rows.get(run.run_id).version ?? 0) > run.version)) this.#have(run, place);
    });
  }

  /** A run is what stands at a place. */
  #have(run, place) {
    const before = this.rows.at(place);
    if (before && before.run_id !== run.run_id) this.#remember(before, false);
    this.rows.put(place, run);
    this.#remember(run, true);
  }

  /** Keep what is said of a row besides its place; or do so no more. */
  #remember(run, here) {
    const id = run.run_id;
    if (here && run.left) this.leaving.add(id);
    else this.leaving.delete(id);
    if (here && run.rerun_of) this.reruns.set(id, run);
    else this.reruns.delete(id);
    if (here) this.usual.note(run);
  }

  /** The places are not what they were thought to be: the list is read anew, soon. */
  #drifted() {
    if (this.drift) return;
    this.drift = true;
    setTimeout(() => this.live && this.onResync(), DRIFT_MS);
  }

  #cut(length) {
    for (const run of this.rows.items(length)) this.#remember(run, false);
    this.rows.cut(length);
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
          if (this.waiting.size) this.pace.ask();
        },
        () => this.live && this.onResync(),
      ),
    );
  }

  #flush() {
    const changes = this.waiting;
    this.waiting = new Map();
    const now = performance.now();
    // Under a hand or an eye that is known of, rows change where they stand at once, and others come in seldom.
    const still = now - this.movedMs < SLOW_MS && this.watched();
    this.settle(stream.now());
    for (const [id, run] of changes) {
      const before = this.rows.get(id);
      if (run && before && (before.version ?? 0) > (run.version ?? 0)) continue;
      const stays = run && before && (!this.fits(run) || due(run) === due(before));
      if (!stays && still) {
        this.waiting.set(id, run);
        continue;
      }
      this.#count(id, run, before);
      if (stays) this.#have(this.fits(run) ? run : { ...run, schedule_time: before.schedule_time, left: true }, this.rows.placeOf(id));
      else this.#move(id, run, before);
    }
    if (this.waiting.size) this.pace.ask(this.movedMs + SLOW_MS);
    if (!this.reading()) this.sweep();
    if (this.known.size > MOST_KNOWN) this.onResync();
    this.tell();
  }

  /** A row comes, goes, or comes to another place. */
  #move(id, run, before) {
    if (before) this.#remove(this.rows.placeOf(id));
    if (!run || !this.fits(run)) return;
    this.movedMs = performance.now();
    this.#insert(run, Boolean(before));
  }

  /** Let what has become due by now be no longer ahead. @param {number} now */
  settle(now) {
    this.nowAtRead = Math.max(now, this.nowAtRead);
    if (this.rising) return;
    for (let next; this.ahead > 0 && (next = this.rows.at(this.ahead - 1)) && due(next) <= this.nowAtRead; ) this.ahead -= 1;
  }

  /** Take out the rows that no longer fit the query. */
  sweep() {
    for (const id of this.leaving) this.#remove(this.rows.placeOf(id));
  }

  #remove(at) {
    this.#remember(this.rows.at(at), false);
    this.rows.remove(at);
    if (!this.rising && at < this.ahead) this.ahead -= 1;
  }

  /** Put a run where it belongs, if that place has been looked at. `moved`: it was a row, so it is none of those unknown. */
  #insert(run, moved) {
    const sign = this.rising ? 1 : -1;
    const at = this.rows.seek((other) => sign * (due(other) - due(run) || number(other) - number(run)));
    const isKnown = at === 0 || this.rows.at(at - 1) !== null;
    if (isKnown) {
      this.rows.insert(at, run);
      this.#remember(run, true);
    } else {
      // Somewhere in what was not looked at: the list is longer, if it is new, and that is all that is known.
      if (!moved && this.#fitted(run)) return;
      this.rows.widen(at);
    }
    if (!moved) this.fresh += 1;
    if (!this.rising && due(run) > this.nowAtRead) this.ahead += 1;
  }

  /** The first runs of the list that are known. @param {number} most */
  some(most) {
    const found = [];
    for (const run of this.rows.items()) if (found.push(run) >= most) break;
    return found;
  }

  /** Whether a run of the stream was in the list when it was read. */
  #fitted(run) {
    const state = this.known.get(`was ${run.run_id}`) ?? stateAt(run, this.readAt);
    return Boolean(state) && this.fits({ ...run, state });
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
 *  `there`: the rows that are shown are those of the query.
 *  @returns {{list: LongList, there: boolean, stale: boolean, error: any, reread: () => void}} */
export function useLongList(terms, rising) {
  const [, redraw] = useReducer((n) => n + 1, 0);
  const [turn, reread] = useReducer((n) => n + 1, 0);
  const shown = useRef(null);
  const next = useRef(null);
  const key = JSON.stringify([terms, rising]);
  // It is asked for before what stands around it is painted.
  useLayoutEffect(() => {
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
  return { list, there: list.key === key && !list.loading, stale: next.current !== null && shown.current?.key !== key, error: next.current?.error ?? list.error, reread };
}

/** So many rows of which none is known. @param {number} length */
function rowsOf(length) {
  return new Sequence((run) => run.run_id, length);
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
