// A live list of runs for a query: pages by cursor, changes by the stream, never the whole database.
import { useCallback, useEffect, useRef, useState } from "./preact.js";
import { ApiError, get, query as asQuery } from "./api.js";
import { stream } from "./stream.js";

const FLUSH_MS = 250;
const PAGE = 100;
const NARROWS = ["q", "state", "job", "label", "arg", "since", "until"];

/** @param {Record<string, string>} terms the API's parameters
 *  @returns {{runs: any[], counts: any, error: any, loading: boolean, more: boolean, loadMore: () => void, reload: () => void, gone: Set<string>}} */
export function useRuns(terms) {
  const key = JSON.stringify(terms);
  const [found, setFound] = useState({ runs: new Map(), counts: null, cursor: null, error: null, loading: true, gone: new Set() });
  const [turn, setTurn] = useState(0);
  const waiting = useRef(new Map());
  const busy = useRef(false);

  const reload = useCallback(() => setTurn((n) => n + 1), []);

  useEffect(() => {
    let live = true;
    let timer = 0;
    let stop = () => {};
    setFound((old) => ({ ...old, loading: true }));
    get(`/api/v2/runs${asQuery({ ...terms, limit: PAGE })}`)
      .then((page) => {
        if (!live) return;
        setFound({ runs: byId(page.runs), counts: page.counts, cursor: page.next_cursor, error: null, loading: false, gone: new Set() });
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
      .catch((error) => live && setFound((old) => ({ ...old, error: wrapped(error), loading: false })));
    const flush = () => {
      timer = 0;
      const changes = waiting.current;
      waiting.current = new Map();
      if (live) setFound((old) => merged(old, changes));
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
    get(`/api/v2/runs${asQuery({ ...terms, limit: PAGE, cursor: found.cursor, counts: "0" })}`)
      .then((page) =>
        setFound((old) => ({ ...old, runs: new Map([...byId(page.runs), ...old.runs]), cursor: page.next_cursor })),
      )
      .catch((error) => setFound((old) => ({ ...old, error: wrapped(error) })))
      .finally(() => {
        busy.current = false;
      });
  }, [key, found.cursor]);

  return { ...found, runs: [...found.runs.values()], more: Boolean(found.cursor), loadMore, reload };
}

function byId(runs) {
  return new Map(runs.map((run) => [run.run_id, run]));
}

function merged(old, changes) {
  const runs = new Map(old.runs);
  const counts = old.counts ? { ...old.counts } : null;
  for (const [id, run] of changes) {
    const before = runs.get(id);
    if (run && before && (before.version ?? 0) > (run.version ?? 0)) continue;
    if (counts && before) counts[before.state] = Math.max(0, (counts[before.state] ?? 0) - 1);
    if (run === null) runs.delete(id);
    else {
      runs.set(id, run);
      if (counts) counts[run.state] = (counts[run.state] ?? 0) + 1;
    }
  }
  return { ...old, runs, counts };
}

function wrapped(error) {
  return error instanceof ApiError ? error : new ApiError(0, String(error), null);
}
