// Times, durations and sizes as people read them. Pure.

export const STATES = ["scheduled", "waiting", "starting", "running", "stopping", "success", "failure", "error", "skipped", "lost"];
/** All but those that are still to come. */
export const BEGUN = STATES.slice(1).join(",");
export const FINISHED = new Set(["success", "failure", "error", "skipped", "lost"]);
export const TROUBLE = new Set(["failure", "error", "lost"]);
export const MARKS = ["success", "failure", "error", "skipped"];
export const LATE_S = 60;

let zone = localStorage.getItem("zone") || undefined;

// Asked for once: the browser makes a whole formatter to answer.
const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The zone of all times; undefined: this browser's. */
export function shownZone() {
  return zone === "UTC" ? "UTC" : HERE;
}

export function cycleZone() {
  zone = zone === "UTC" ? undefined : "UTC";
  if (zone) localStorage.setItem("zone", zone);
  else localStorage.removeItem("zone");
}

let precision = localStorage.getItem("precision") === "ms" ? "ms" : "s";

/** How exact times of today are: s or ms. */
export function shownPrecision() {
  return precision;
}

/** Times of today to the second, or to the millisecond. */
export function cyclePrecision() {
  precision = precision === "ms" ? "s" : "ms";
  localStorage.setItem("precision", precision);
}

const makers = new Map();
/** The formatter of these options, made once for each zone: a page shows thousands of times. @param {object} options */
function maker(options) {
  const key = options.timeZone ?? shownZone();
  let made = makers.get(options)?.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat("en-GB", { timeZone: key, ...options });
    if (!makers.has(options)) makers.set(options, new Map());
    makers.get(options).set(key, made);
  }
  return made;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const SHORT = { hour: "2-digit", minute: "2-digit" };
const DAY_KEY = { year: "numeric", month: "2-digit", day: "2-digit" };
const WEEKDAY = { weekday: "short" };
const DAY = { day: "numeric", month: "short" };
const DATE = { day: "numeric", month: "short", year: "numeric" };
const DAY_NAME = { weekday: "long", day: "numeric", month: "long" };
const DAY_OF_YEAR = { weekday: "long", day: "numeric", month: "long", year: "numeric" };
const WHOLE = { weekday: "short", ...DATE, ...CLOCK };

/** `14:25:00`. @param {number} ms */
export function clock(ms) {
  return maker(CLOCK).format(ms);
}

/** The instant that a field for date and time means, in the shown zone; a text that is none, as it is.
 *  @param {string} text */
export function instantOf(text) {
  const at = new Date(shownZone() === "UTC" && text ? `${text}Z` : text);
  return Number.isNaN(at.getTime()) ? text : at.toISOString();
}

/** `14:25:00.123`. @param {number} ms */
export function clockMs(ms) {
  return `${clock(ms)}.${String(Math.floor(((ms % 1000) + 1000) % 1000)).padStart(3, "0")}`;
}

function dayKey(ms) {
  return maker(DAY_KEY).format(ms);
}

/** `Tuesday 24 November`. @param {number} ms */
export function dayName(ms) {
  return maker(DAY_NAME).format(ms);
}

/** `Tuesday 24 November 2026`. @param {number} ms */
export function dayOfYear(ms) {
  return maker(DAY_OF_YEAR).format(ms);
}

/** The midnights before and after an instant, in the shown zone. @param {number} ms */
export function dayOf(ms) {
  const from = new Date(ms);
  const to = new Date(ms);
  if (shownZone() === "UTC") {
    from.setUTCHours(0, 0, 0, 0);
    to.setUTCHours(24, 0, 0, 0);
  } else {
    from.setHours(0, 0, 0, 0);
    to.setHours(24, 0, 0, 0);
  }
  return { since: from.toISOString(), until: to.toISOString() };
}

/** `14:25:07`, or `14:25:07.123` where that is what the person wants. @param {number} ms */
export function precise(ms) {
  return precision === "ms" ? clockMs(ms) : clock(ms);
}

/** Today `14:25:07`, within six days `Mon 18:10`, this year `7 Nov 16:20`, else with the year.
 *  @param {number} ms @param {number} now */
export function when(ms, now) {
  if (Math.abs(ms - now) < 86400e3 && dayKey(ms) === dayKey(now)) return precise(ms);
  if (Math.abs(ms - now) >= 300 * 86400e3) return maker(DATE).format(ms);
  const short = maker(SHORT).format(ms);
  if (Math.abs(ms - now) < 6 * 86400e3) return `${maker(WEEKDAY).format(ms)} ${short}`;
  return `${maker(DAY).format(ms)} ${short}`;
}

/** `Tue 24 Nov 2026, 14:25:07`. @param {number} ms @param {string} timeZone */
export function inZone(ms, timeZone) {
  if (!zoned.has(timeZone)) zoned.set(timeZone, { ...WHOLE, timeZone });
  return maker(zoned.get(timeZone)).format(ms);
}

/** `Tue 24 Nov 2026, 14:25:07.123`. @param {number} ms @param {string} timeZone */
export function inZoneMs(ms, timeZone) {
  return `${inZone(ms, timeZone)}${clockMs(ms).slice(-4)}`;
}
const zoned = new Map();

/** An instant in a sentence. @param {number} ms @param {number} now */
export function whenFull(ms, now) {
  const away = ms > now ? `in ${duration((ms - now) / 1000)}` : `${duration((now - ms) / 1000)} ago`;
  return `${inZone(ms, shownZone())} ${shownZone()}, ${away}`;
}

/** `12 ms`, `0.4 s`, `0:08`, `6:41`, `2:41:08`, `2 d 1:06`. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 0.1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 1) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  if (whole >= 2 * 86400) return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)}:${two(Math.floor((whole % 3600) / 60))}`;
  if (whole >= 3600) return `${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
  return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
}

/** `just now`, `0:04 ago`. @param {number} seconds */
export function ago(seconds) {
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}

/** A schedule as people say it: `every 20.0 sec phase 5.0 sec` is `every 20 s, phase 5 s`. @param {string} words */
export function spoken(words) {
  return words.replace(/ phase /g, ", phase ").replace(/(\d+(?:\.\d+)?) sec\b/g, (_, n) => rounded(Number(n)));
}

const INSTANT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;

/** A sentence of the server's with its instants and schedules as people say them here. @param {string} text @param {number} now */
export function told(text, now) {
  return spoken(text.replace(INSTANT, (at) => when(Date.parse(at), now)));
}

/** @type {[string, number][]} */
const UNITS = [["h", 3600], ["min", 60]];

function rounded(seconds) {
  for (const [unit, size] of UNITS) if (seconds >= size && seconds % size === 0) return `${seconds / size} ${unit}`;
  return `${seconds} s`;
}

/** `1 process`, `2 processes`. @param {number} n @param {string} one @param {string} [many] */
export function counted(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

// Made once: a number's own way makes one each time.
const GROUPED = new Intl.NumberFormat("en-US");

/** `1,208`. @param {number} n */
export function count(n) {
  return GROUPED.format(n);
}

/** `88.4 KB`. @param {number} n */
export function bytes(n) {
  if (n < 1024) return `${n} B`;
  const units = ["KB", "MB", "GB", "TB"];
  let value = n;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** When a run was or is to begin, in ms. @param {any} run */
export function due(run) {
  return Date.parse(run.schedule_time);
}

/** How long a run has run, in s; null when it never did. @param {any} run @param {number} now */
export function elapsed(run, now) {
  if (run.elapsed !== null && run.elapsed !== undefined) return run.elapsed;
  const begun = run.times?.running;
  if (!begun || FINISHED.has(run.state)) return null;
  return Math.max(0, (now - Date.parse(begun)) / 1000);
}

/** By how much a run began late, or is late by now, in s; 0 when in time. @param {any} run @param {number} now */
export function lateness(run, now) {
  const begun = run.times?.running ?? run.times?.starting;
  if (!begun && FINISHED.has(run.state)) return 0;
  const late = ((begun ? Date.parse(begun) : now) - due(run)) / 1000;
  return late >= LATE_S ? late : 0;
}

/** The state people see: a held run is held. @param {any} run */
export function shownState(run) {
  return run.held && (run.state === "scheduled" || run.state === "waiting") ? "held" : run.state;
}

/** Why, or with what result. @param {any} run @param {number} now */
export function reason(run, now) {
  if (run.unreachable) return "its agent does not answer; it may well be running";
  if (run.reason) return run.reason;
  if (run.state === "scheduled" && due(run) > now) return `in ${duration((due(run) - now) / 1000)}`;
  if (run.state === "starting") return "process asked for";
  return "";
}
