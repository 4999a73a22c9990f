// Asking again, once the server can answer again.
import { stream } from "./stream.js";

const PAUSE_MS = 1000;
const PASSING = new Set([0, 502, 503, 504]);

/** Whether an error passes by itself: nobody answered, or who did was not the server. @param {any} error */
export function passes(error) {
  return PASSING.has(error.status);
}

/** After an error that passes by itself: call `act` when the connection lives again, or shortly if it
 *  never went away. Returns a function that takes this back. @param {any} error @param {() => void} act */
export function onceBack(error, act) {
  if (!passes(error)) return () => {};
  if (stream.status === "live") {
    const timer = setTimeout(act, PAUSE_MS);
    return () => clearTimeout(timer);
  }
  const stop = () => stream.watchers.delete(watch);
  const watch = (status) => {
    if (status !== "live") return;
    stop();
    act();
  };
  stream.watchers.add(watch);
  return stop;
}
