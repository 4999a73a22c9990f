// Reading one thing of the API for a view, and reading it again.
import { useCallback, useEffect, useState } from "./preact.js";
import { get } from "./api.js";

/** @param {string} path @returns {{value: any, error: any, again: () => void, set: (value: any) => void}} */
export function useGet(path) {
  const [state, setState] = useState({ value: null, error: null });
  const [turn, setTurn] = useState(0);
  const again = useCallback(() => setTurn((n) => n + 1), []);
  useEffect(() => {
    let live = true;
    get(path)
      .then((value) => live && setState({ value, error: null }))
      .catch((error) => live && setState((old) => ({ ...old, error })));
    return () => {
      live = false;
    };
  }, [path, turn]);
  return { ...state, again, set: (value) => setState({ value, error: null }) };
}
