// A live list of runs for a query: pages by cursor, changes by the stream, never the whole database.
import { useCallback, useEffect, useRef, useState } from "./preact.js";
import { ApiError, get, query as asQuery } from "./api.js";
import { onceBack } from "./again.js";
import { due } from "./format.js";
import { stream, useNow } from "./stream.js";

const FLUSH_MS = 250;
const PAGE = 100;
const NARROWS = ["q", "state", "job", "label", "owner", "arg", "since", "until"];

// How far ahead runs to come are looked for, in minutes: the least that shows enough of them. Pages come
// in the order runs were made, not in that of their times, so a span has to be read whole.
const AHEAD_MIN = [15, 180, 2880, null];
const AHEAD_ENOUGH = 20;
const AHEAD_PAGE = 1000;
const AHEAD_STEP_MS = 5 * 60e3;
// Runs whose state is remembered for counting; with more the list is read anew.
const MOST_KNOWN = 20000;

const EMPTY = { runs: new Map(), known: new Map(), counts: null, cursor: null, error: null, loading: true };

/** The runs of a query; of none, none. `states`: keep only runs in these states, though the counts are of all.
 *  @param {Record<string, string> | null} terms the API's parameters @param {{states?: string, limit?: number}} [how]
 *  @returns {{runs: any[], counts: any, error: any, loading: boolean, more: boolean, loadMore: () => void, reload: () => void}} */
export function useRuns(terms, { states, limit = PAGE } = {}) {
  const asked = states && terms ? { ...terms, state: states } : terms;
  const kept = states ? new Set(states.split(",")) : null;
  const key = JSON.stringify([asked, limit]);
  const [found, setFound] = useState(EMPTY);
  const [turn, setTurn] = useState(0);
  const waiting = useRef(new Map());
  const busy = useRef(false);

  const reload = useCallback(() => setTurn((n) => n + 1), []);

  useEffect(() => {
    if (!terms) {
      setFound({ ...EMPTY, loading: false });
      return undefined;
    }
    let live = true;
    let timer = 0;
    let stop = () => {};
    let readAt = 0;
    setFound((old) => ({ ...old, loading: true }));
    get(`/api/v2/runs${asQuery({ ...asked, limit })}`)
      .then((page) => {
        if (!live) return;
        readAt = Date.parse(page.now);
        setFound({ ...EMPTY, known: new Map(), runs: byId(page.runs), counts: page.counts, cursor: page.next_cursor, loading: false });
        const narrow = Object.fromEntries(NARROWS.filter((name) => terms[name]).map((name) => [name, terms[name]]));
        stop = stream.follow(
          { topic: "runs", ...narrow, resume: `${page.epoch}:${page.seq}` },
          (message) => {
            for (const run of message.runs ?? []) waiting.current.set(run.run_id, run);
            for (const id of message.gone ?? message.withdrawn ?? []) waiting.current.set(id, null);
            if (!timer) timer = setTimeout(flush, FLUSH_MS);
          },
          reload,
        );
      })
      .catch((error) => {
        if (!live) return;
        setFound((old) => ({ ...old, error: wrapped(error), loading: false }));
        stop = onceBack(error, reload);
      });
    const flush = () => {
      timer = 0;
      const changes = waiting.current;
      waiting.current = new Map();
      if (live) setFound((old) => merged(old, changes, kept, readAt));
    };
    return () => {
      live = false;
      clearTimeout(timer);
      waiting.current = new Map();
      stop();
    };
  }, [key, turn]);

  const loadMore = useCallback(() => {
    if (busy.current || !found.cursor) return;
    busy.current = true;
    get(`/api/v2/runs${asQuery({ ...asked, limit, cursor: found.cursor, counts: "0" })}`)
      .then((page) =>
        setFound((old) => ({ ...old, runs: new Map([...byId(page.runs), ...old.runs]), cursor: page.next_cursor })),
      )
      .catch((error) => setFound((old) => ({ ...old, error: wrapped(error) })))
      .finally(() => {
        busy.current = false;
      });
  }, [key, found.cursor]);

  useEffect(() => {
    if (found.known.size > MOST_KNOWN) reload();
  }, [found.runs]);

  return { ...found, runs: [...found.runs.values()], more: Boolean(found.cursor), loadMore, reload };
}

/** Scheduled runs, the next first: of the shortest span ahead that has enough of them.
 *  @param {Record<string, string> | null} terms @param {boolean} all of them, however far ahead */
export function useComing(terms, all = false) {
  const [wider, setWider] = useState(0);
  const now = useNow();
  const span = all ? AHEAD_MIN.length - 1 : wider;
  const ahead = AHEAD_MIN[span];
  const step = Math.ceil(now / AHEAD_STEP_MS) * AHEAD_STEP_MS;
  const until = ahead === null ? undefined : new Date(step + ahead * 60e3).toISOString();
  const list = useRuns(terms && { ...terms, state: "scheduled", until }, { limit: AHEAD_PAGE });
  const runs = list.runs.filter((run) => run.state === "scheduled").sort((a, b) => due(a) - due(b));
  useEffect(() => setWider(0), [JSON.stringify(terms)]);
  useEffect(() => {
    if (!terms || list.loading || list.error) return;
    if (list.more) list.loadMore();
    else if (runs.length < AHEAD_ENOUGH && span < AHEAD_MIN.length - 1) setWider(span + 1);
  }, [list.loading, list.more, list.loadMore, runs.length, span]);
  return { ...list, runs };
}

function byId(runs) {
  return new Map(runs.map((run) => [run.run_id, run]));
}

function merged(old, changes, kept, readAt) {
  const runs = new Map(old.runs);
  // Thousands, which nobody draws: not copied.
  const known = old.known;
  const counts = old.counts ? { ...old.counts } : null;
  const move = (state, by) => {
    if (counts && state) counts[state] = Math.max(0, (counts[state] ?? 0) + by);
  };
  for (const [id, run] of changes) {
    const before = runs.get(id);
    if (run && before && (before.version ?? 0) > (run.version ?? 0)) continue;
    move(known.get(id) ?? before?.state ?? (run ? stateAt(run, readAt) : "scheduled"), -1);
    move(run?.state, 1);
    known.set(id, run ? run.state : "");
    if (run && (!kept || kept.has(run.state))) runs.set(id, run);
    else runs.delete(id);
  }
  return { ...old, runs, known, counts };
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

function wrapped(error) {
  return error instanceof ApiError ? error : new ApiError(0, String(error), null);
}
