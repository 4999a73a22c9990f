// The span of time of a list: presets, and two fields that take what people write.
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { dayOf, instantOf, inUtc, shownZone, typedTime, when } from "./format.js";
import { useNow } from "./stream.js";

const HOUR_MS = 3600e3;
const DAY_MS = 24 * HOUR_MS;
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** Name, since, until: as they stand in the address. */
const PRESETS = [
  ["All", "", ""],
  ["2 h around now", "-1h", "+1h"],
  ["Last 6 hours", "-6h", ""],
  ["Today", "today", "tomorrow"],
  ["Yesterday", "yesterday", "today"],
  ["Last 7 days", "-7d", ""],
  ["Last 30 days", "-30d", ""],
];

/** What a bound of the address means for the API: an instant, or a distance from now.
 *  @param {string} text @param {number} now */
export function boundOf(text, now) {
  const day = { today: 0, yesterday: -1, tomorrow: 1 }[text];
  return day === undefined ? text : dayOf(Date.parse(dayOf(now).since) + day * DAY_MS + DAY_MS / 2).since;
}

/** Read what somebody wrote: `-6h`, `14:30`, `Mon 08:00`, `2026-11-24`, `2026-11-24 08:00`, in the shown zone.
 *  @param {string} text @param {number} now @returns {string | null} null: it is none of these */
export function readBound(text, now) {
  const said = text.trim().toLowerCase();
  if (said === "" || ["now", "today", "yesterday", "tomorrow"].includes(said)) return said;
  const relative = /^([+-])\s*(\d+(?:\.\d+)?)\s*([smhd])$/.exec(said);
  if (relative) return relative.slice(1).join("");
  const found = /^(?:(?:(\d{4}-\d{2}-\d{2})|([a-z]{3})[a-z]*)[ t]*)?(\d{1,2}:\d{2}(?::\d{2})?)?$/.exec(said);
  if (!found || (found[2] && !DAYS.includes(found[2]))) return null;
  const clock = (found[3] ?? "00:00").padStart(5, "0");
  const local = new Date(Date.parse(dayOf(now).since) + DAY_MS / 2);
  const utc = inUtc();
  if (found[2]) while (DAYS[utc ? local.getUTCDay() : local.getDay()] !== found[2]) local.setTime(local.getTime() - DAY_MS);
  const two = (n) => String(n).padStart(2, "0");
  const day = utc ? local.toISOString().slice(0, 10) : `${local.getFullYear()}-${two(local.getMonth() + 1)}-${two(local.getDate())}`;
  const at = instantOf(`${found[1] ?? day}T${clock}`);
  return Number.isNaN(Date.parse(at)) ? null : at;
}

/** A bound as people read it. @param {string} text @param {number} now */
function said(text, now) {
  return Number.isNaN(Date.parse(text)) || /^[+-]\d/.test(text) ? text : when(Date.parse(text), now);
}

/** A bound as one would type it. @param {string} text */
function written(text) {
  return Number.isNaN(Date.parse(text)) || /^[+-]\d/.test(text) ? text : typedTime(Date.parse(text));
}

/** @param {string} since @param {string} until @param {number} now */
function rangeWords(since, until, now) {
  const preset = PRESETS.find(([, from, to]) => from === since && to === until);
  if (preset) return preset[0] === "All" ? "All times" : preset[0];
  if (!until) return `since ${said(since, now)}`;
  return since ? `${said(since, now)} – ${said(until, now)}` : `until ${said(until, now)}`;
}

/** @param {{since: string, until: string, set: (since: string, until: string) => void}} of */
export function TimeRange({ since, until, set }) {
  const now = useNow();
  const [open, setOpen] = useState(false);
  const [wrong, setWrong] = useState("");
  const box = useRef(null);
  useLayoutEffect(() => {
    if (!open) return undefined;
    const away = (event) => box.current?.contains(event.target) || setOpen(false);
    addEventListener("pointerdown", away);
    box.current?.querySelector(".pop button")?.focus();
    return () => removeEventListener("pointerdown", away);
  }, [open]);
  const take = (from, to) => {
    setOpen(false);
    setWrong("");
    set(from, to);
    box.current?.querySelector("button")?.focus();
  };
  const submit = (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    // What was left as it stood is what it was, to the millisecond.
    const bounds = [["since", since], ["until", until]].map(([name, old]) => (given.get(name) === written(old) ? old : readBound(String(given.get(name)), now)));
    const bad = ["since", "until"].find((_, i) => bounds[i] === null);
    const [from, to] = bounds.map((bound) => Date.parse(boundOf(bound ?? "", now)));
    if (bad) setWrong(`${bad}: expected -6h, 14:30, Mon 08:00 or 2026-11-24 08:00`);
    else if (to <= from) setWrong("until: expected a time after since");
    else take(bounds[0], bounds[1]);
  };
  return html`<div class="range" ref=${box} onKeyDown=${(event) => event.key === "Escape" && open && (event.stopPropagation(), setOpen(false), box.current.querySelector("button").focus())}>
    <button class="btn" aria-haspopup="dialog" aria-expanded=${open} onClick=${() => setOpen(!open)}>${rangeWords(since, until, now)} <span class="faint" aria-hidden="true">▾</span></button>
    ${open &&
    html`<div class="pop" role="dialog" aria-label="Time range">
      ${PRESETS.map(([name, from, to]) => html`<button class="pick" aria-pressed=${from === since && to === until} onClick=${() => take(from, to)}>${name}</button>`)}
      <form onSubmit=${submit}>
        <label>since <input class="field" name="since" defaultValue=${written(since)} placeholder="-6h, Mon 08:00" autocomplete="off" /></label>
        <label>until <input class="field" name="until" defaultValue=${written(until)} placeholder="now, 14:30" autocomplete="off" /></label>
        <button class="btn main">Apply</button>
        <p class=${wrong ? "err" : "hint"} role=${wrong ? "alert" : undefined}>${wrong || `Times are those of ${shownZone()}.`}</p>
      </form>
    </div>`}
  </div>`;
}
