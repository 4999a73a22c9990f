// The lines of a list of runs: of several runs of one instance the active or newest, the others folded below it.
// What is folded is counted by its places, so that lines are made when they are looked at, and not before. Pure.

/** A line as it is drawn: `at` its place in the list, `sub` a run that stands below the newer one of its instance.
 *  @typedef {{run: any, at: number, sub: boolean, others: number}} Line */

/** Lines from `line` on: those of `subs`, or else the rows from the place `at` on, one by one.
 *  @typedef {{line: number, at: number, subs: any[] | null}} Piece */

const ACTIVE = new Set(["waiting", "starting", "running", "stopping"]);

export class Lines {
  #rows;
  #skip;
  /** Groups by the run that is shown of them. @type {Map<string, any[]>} */
  #heads = new Map();
  /** The run that is shown, by each that is folded below it. @type {Map<string, string>} */
  #under = new Map();
  /** @type {Piece[]} */
  #pieces;

  /** @param {import("./sequence.js").Sequence} rows @param {Iterable<any>} reruns those of them that run another one again; none: nothing is folded
   *  @param {number} skip so many rows are left out at the beginning @param {Set<string>} opened groups that are not folded, by the run that is shown */
  constructor(rows, reruns, skip, opened) {
    this.#rows = rows;
    this.#skip = skip;
    for (const group of groupsOf(rows, reruns)) {
      if (group.length < 2) continue;
      this.#heads.set(group[0].run_id, group);
      for (const run of group.slice(1)) this.#under.set(run.run_id, group[0].run_id);
    }
    this.#pieces = [{ line: 0, at: skip, subs: null }];
    this.length = this.#fold(opened);
  }

  /** Make the pieces. @returns {number} how many lines there are */
  #fold(opened) {
    const heads = [...this.#heads.keys()].filter((id) => opened.has(id));
    const breaks = [...this.#under.keys(), ...heads].map((id) => ({ id, place: this.#rows.placeOf(id) })).filter(({ place }) => place >= this.#skip);
    for (const { id, place } of breaks.sort((a, b) => a.place - b.place)) {
      const last = this.#pieces[this.#pieces.length - 1];
      const line = last.line + place - last.at;
      if (this.#under.has(id)) {
        this.#pieces.push({ line, at: place + 1, subs: null });
        continue;
      }
      const subs = /** @type {any[]} */ (this.#heads.get(id)).slice(1);
      this.#pieces.push({ line: line + 1, at: place, subs }, { line: line + 1 + subs.length, at: place + 1, subs: null });
    }
    const last = this.#pieces[this.#pieces.length - 1];
    return Math.max(0, last.line + this.#rows.length - last.at);
  }

  /** How many rows are folded away. */
  get folded() {
    return this.#under.size;
  }

  /** @param {number} index @returns {Line | undefined} */
  get(index) {
    return this.slice(index, index + 1)[0];
  }

  /** @param {number} first @param {number} last @returns {Line[]} */
  slice(first, last) {
    const lines = [];
    const end = Math.min(last, this.length);
    let index = Math.max(0, first);
    for (let number = this.#pieceOf(index); index < end; number += 1) {
      const { line, at, subs } = this.#pieces[number];
      const until = Math.min(end, this.#pieces[number + 1]?.line ?? this.length);
      if (until <= index) continue;
      if (subs) for (const run of subs.slice(index - line, until - line)) lines.push({ run, at, sub: true, others: 0 });
      else {
        this.#rows.slice(at + index - line, at + until - line).forEach((run, i) => {
          lines.push({ run, at: at + index - line + i, sub: false, others: (run && this.#heads.get(run.run_id)?.length) ?? 0 });
        });
      }
      index = until;
    }
    return lines;
  }

  /** The index of the line of a run; -1: it has none. @param {string | null} id */
  indexOf(id) {
    if (id === null) return -1;
    const head = this.#under.get(id);
    const place = this.#rows.placeOf(head ?? id);
    if (place < this.#skip) return -1;
    if (head === undefined) return this.indexAt(place);
    const group = /** @type {any[]} */ (this.#heads.get(head));
    const line = this.indexAt(place) + group.findIndex((run) => run.run_id === id);
    return this.get(line)?.run?.run_id === id ? line : -1;
  }

  /** The index of the line of a row, or of the next one when it is folded away. @param {number} place */
  indexAt(place) {
    let low = 0;
    let high = this.#pieces.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      const piece = this.#pieces[middle];
      if (piece.subs ? piece.at < place : piece.at <= place) low = middle;
      else high = middle;
    }
    const { line, at } = this.#pieces[low];
    return Math.max(0, line + place - at);
  }

  /** The number of the first piece that may have a line. */
  #pieceOf(index) {
    let low = 0;
    let high = this.#pieces.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#pieces[middle].line <= index) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The runs of all lines that are known, in no order. */
  runs() {
    const rows = [...this.#rows.items(this.#skip)].filter((run) => !this.#under.has(run.run_id));
    return [...rows, ...this.#pieces.flatMap(({ subs }) => subs ?? [])];
  }
}

/** Runs by the first of their chain of reruns, the one to be shown first. An active run is never folded away.
 *  @returns {any[][]} */
function groupsOf(rows, reruns) {
  const groups = new Map();
  for (const run of reruns) {
    let root = run;
    for (let before = rows.get(root.rerun_of); before; before = root.rerun_of && rows.get(root.rerun_of)) root = before;
    const key = root.rerun_of ?? root.run_id;
    if (!groups.has(key)) groups.set(key, root.rerun_of ? [] : [root]);
    groups.get(key).push(run);
  }
  return [...groups.values()].map((group) => {
    group.sort((a, b) => Number(ACTIVE.has(b.state)) - Number(ACTIVE.has(a.state)) || Number(b.run_id.slice(1)) - Number(a.run_id.slice(1)));
    return group.filter((run, i) => i === 0 || !ACTIVE.has(run.state));
  });
}
