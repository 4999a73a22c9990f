// Round instants for an axis of time, in the shown zone.
import { dayOf, inUtc, when } from "./format.js";

const DAY_MS = 86400e3;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** At most so many round instants of a span, and how far they are apart; from a day on they are midnights.
 *  @param {number} from @param {number} to in ms @param {number} most @param {number} [leastS] no closer than this
 *  @returns {{step: number, at: number[]}} */
export function gridOf(from, to, most, leastS = 1) {
  const spanS = (to - from) / 1000;
  const week = STEPS_S[STEPS_S.length - 1];
  const stepS = STEPS_S.find((s) => s >= leastS && spanS / s <= most) ?? Math.ceil(spanS / most / week) * week;
  const step = stepS * 1000;
  // Weeks begin on Mondays, and the first of 1970 was the fifth day.
  const offset = (inUtc() ? 0 : -new Date(from).getTimezoneOffset() * 60e3) - (stepS < week ? 0 : 4 * DAY_MS);
  const first = Math.ceil((from + offset) / step) * step - offset;
  const found = [];
  for (let ms = first; ms < to; ms += step) {
    // The clocks may have been changed since the first.
    const round = step < DAY_MS ? ms : Date.parse(dayOf(ms + DAY_MS / 2).since);
    if (round >= from && round < to) found.push(round);
  }
  return { step, at: found };
}

/** The name of an instant of a grid: no finer than its step. @param {number} ms @param {number} step @param {number} now */
export function nameOf(ms, step, now) {
  const text = when(ms, now);
  return step < 60e3 ? text : text.replace(/^(\d+:\d+):00(\.0+)?$/, "$1").replace(/ 00:00$/, "");
}
