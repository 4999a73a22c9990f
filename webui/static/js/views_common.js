// Reading one thing of the API for a view, and reading it again.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "./preact.js";
import { get } from "./api.js";
import { onceBack } from "./again.js";
import { stream } from "./stream.js";

/** What a path answers. `again` while an answer is under way asks once more after it, so that a storm of
 *  changes neither starves the view nor floods the server.
 *  @param {string} path @returns {{value: any, error: any, again: () => void}} */
export function useGet(path) {
  const [state, setState] = useState({ path, value: null, error: null });
  const reader = useRef(() => {});
  const again = useCallback(() => reader.current(), []);
  useLayoutEffect(() => {
    let live = true;
    let busy = false;
    let wanted = false;
    let stop = () => {};
    const read = () => {
      stop();
      if (busy) {
        wanted = true;
        return;
      }
      busy = true;
      get(path)
        .then((value) => live && setState({ path, value, error: null }))
        .catch((error) => {
          if (!live) return;
          setState((old) => ({ ...old, error }));
          stop = onceBack(error, read);
        })
        .finally(() => {
          busy = false;
          if (live && wanted) {
            wanted = false;
            read();
          }
        });
    };
    reader.current = read;
    read();
    return () => {
      live = false;
      stop();
    };
  }, [path]);
  return { value: state.path === path ? state.value : null, error: state.error, again };
}

/** Read again every so often, when anything has happened since and somebody looks.
 *  @param {() => void} again @param {number} everyMs */
export function useRefreshed(again, everyMs) {
  useEffect(() => {
    let seen = stream.seq;
    const timer = setInterval(() => {
      if (stream.status !== "live" || stream.seq === seen || document.visibilityState !== "visible") return;
      seen = stream.seq;
      again();
    }, everyMs);
    return () => clearInterval(timer);
  }, [again, everyMs]);
}
