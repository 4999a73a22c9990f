// Times, durations and sizes as people read them. Pure.

export const STATES = ["scheduled", "waiting", "starting", "running", "stopping", "success", "failure", "error", "skipped", "lost"];
/** All but those that are still to come. */
export const BEGUN = STATES.slice(1).join(",");
export const FINISHED = new Set(["success", "failure", "error", "skipped", "lost"]);
export const TROUBLE = new Set(["failure", "error", "lost"]);
export const MARKS = ["success", "failure", "error", "skipped"];
export const LATE_S = 60;

let zone = localStorage.getItem("zone") || undefined;
let here = "";

/** Whether times are those of UTC, not of this browser's zone. */
export function inUtc() {
  return zone === "UTC";
}

/** The name of the zone of all times. A browser that is asked for it gets ready to write times in all languages first:
 *  what has to be there soon does without. */
export function shownZone() {
  here ||= Intl.DateTimeFormat().resolvedOptions().timeZone;
  return inUtc() ? "UTC" : here;
}

/** The same; empty while it would have to be asked for. */
export function knownZone() {
  return inUtc() ? "UTC" : here;
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

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const SHORT = { September: "Sept" };

const two = (n) => String(n).padStart(2, "0");
const shortDay = (name) => name.slice(0, 3);
const shortMonth = (name) => SHORT[name] ?? name.slice(0, 3);

/** An instant in the shown zone, in parts. Not by `Intl`: it takes ten times as long, and much longer the first time.
 *  @param {number} ms */
function partsOf(ms) {
  const at = new Date(ms);
  return inUtc()
    ? { year: at.getUTCFullYear(), month: MONTHS[at.getUTCMonth()], day: at.getUTCDate(), weekday: DAYS[at.getUTCDay()], hour: at.getUTCHours(), minute: at.getUTCMinutes(), second: at.getUTCSeconds() }
    : { year: at.getFullYear(), month: MONTHS[at.getMonth()], day: at.getDate(), weekday: DAYS[at.getDay()], hour: at.getHours(), minute: at.getMinutes(), second: at.getSeconds() };
}

/** `14:25:00`. @param {number} ms */
export function clock(ms) {
  const { hour, minute, second } = partsOf(ms);
  return `${two(hour)}:${two(minute)}:${two(second)}`;
}

/** `2026-11-24 14:25`, or with its seconds: as it is typed. @param {number} ms */
export function typedTime(ms) {
  const { year, month, day, hour, minute, second } = partsOf(ms);
  return `${year}-${two(MONTHS.indexOf(month) + 1)}-${two(day)} ${two(hour)}:${two(minute)}${second ? `:${two(second)}` : ""}`;
}

/** The instant that a field for date and time means, in the shown zone; a text that is none, as it is.
 *  @param {string} text */
export function instantOf(text) {
  const at = new Date(inUtc() && text ? `${text}Z` : text);
  return Number.isNaN(at.getTime()) ? text : at.toISOString();
}

/** `14:25:00.123`. @param {number} ms */
export function clockMs(ms) {
  return `${clock(ms)}.${String(Math.floor(((ms % 1000) + 1000) % 1000)).padStart(3, "0")}`;
}

/** `Tuesday 24 November`. @param {number} ms */
export function dayName(ms) {
  const { weekday, day, month } = partsOf(ms);
  return `${weekday} ${day} ${month}`;
}

/** `Tuesday 24 November 2026`. @param {number} ms */
export function dayOfYear(ms) {
  return `${dayName(ms)} ${partsOf(ms).year}`;
}

/** The midnights before and after an instant, in the shown zone. @param {number} ms */
export function dayOf(ms) {
  const from = new Date(ms);
  const to = new Date(ms);
  if (inUtc()) {
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
  const away = Math.abs(ms - now);
  const { year, month, day, weekday, hour, minute } = partsOf(ms);
  if (away < 86400e3 && day === partsOf(now).day) return precise(ms);
  if (away >= 300 * 86400e3) return `${day} ${shortMonth(month)} ${year}`;
  return `${away < 6 * 86400e3 ? shortDay(weekday) : `${day} ${shortMonth(month)}`} ${two(hour)}:${two(minute)}`;
}

/** @type {Intl.DateTimeFormatOptions} */
const WHOLE = { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" };
/** What writes times of each zone. @type {Map<string, Intl.DateTimeFormat>} */
const zoned = new Map();

/** `Tue 24 Nov 2026, 14:25:07`. @param {number} ms @param {string} timeZone */
export function inZone(ms, timeZone) {
  const made = zoned.get(timeZone) ?? new Intl.DateTimeFormat("en-GB", { ...WHOLE, timeZone });
  zoned.set(timeZone, made);
  return made.format(ms);
}

/** `Tue 24 Nov 2026, 14:25:07.123`. @param {number} ms @param {string} timeZone */
export function inZoneMs(ms, timeZone) {
  return `${inZone(ms, timeZone)}${clockMs(ms).slice(-4)}`;
}

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

/** `1,208`. @param {number} n */
export function count(n) {
  return String(n).replace(/\B(?=(?:\d{3})+$)/g, ",");
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
