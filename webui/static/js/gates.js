// The conditions of a run, and what became of each of them so far. Pure.
import { duration } from "./format.js";

const UNTIL = "waiting until: ";

/** The gates of a run: [icon state, sentence, note, when]. @param {any} run @param {number} now */
export function gates(run, now) {
  const since = {};
  for (const line of run.log ?? []) since[line.message] = line.time;
  let blocked = false;
  return (run.conds ?? []).map((cond, place) => {
    const found = run.waits_for?.[place];
    const begun = since[UNTIL + cond.str];
    const gate = { cond, begun, note: found?.reason ?? "", state: "success", when: "" };
    if (run.state === "scheduled") Object.assign(gate, { state: "scheduled", note: "", when: "not looked at yet" });
    else if (run.state !== "waiting") Object.assign(gate, { note: "", state: run.times?.starting || run.times?.running ? "success" : "skipped" });
    else if (!found?.met) {
      gate.state = blocked ? "scheduled" : "waiting";
      gate.when = begun ? `waits ${duration((now - Date.parse(begun)) / 1000)}` : "not looked at yet";
      blocked = true;
    }
    return gate;
  });
}
