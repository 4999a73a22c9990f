// The card of an instant: wherever a time stands, pointing at it or focusing it says all there is to say.
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { get, jobPath } from "./api.js";
import { duration, inZoneMs, shownZone } from "./format.js";
import { stream } from "./stream.js";
import { attempt, done } from "./toast.js";

const OPEN_MS = 250;
const CLOSE_MS = 200;
const zones = new Map();

/** The zone of a job's first schedule that has one, asked for once. @param {string} jobId @returns {Promise<string>} */
function zoneOf(jobId) {
  if (!zones.has(jobId)) {
    const asked = get(`/api/v2/jobs/${jobPath(jobId)}`).then(
      (found) => [found.job?.schedule ?? []].flat().map((one) => one.tz).find(Boolean) ?? "",
      () => "",
    );
    zones.set(jobId, asked);
  }
  return zones.get(jobId);
}

/** The lines of a card: what it is, and the text. @param {number} ms @param {string} zone the run's own @param {number} now @returns {[string, string][]} */
export function linesOf(ms, zone, now) {
  const away = Math.abs(ms - now) / 1000;
  const lines = [[shownZone(), inZoneMs(ms, shownZone())], [shownZone() === "UTC" ? "ISO 8601" : "UTC", new Date(ms).toISOString().replace("T", " ").replace("Z", " UTC")]];
  if (zone && zone !== shownZone() && zone !== "UTC") lines.push([`${zone} (its own)`, inZoneMs(ms, zone)]);
  lines.push([ms > now ? "until then" : "since then", duration(away)], ["epoch", String(ms / 1000)]);
  return /** @type {[string, string][]} */ (lines);
}

async function copy(text) {
  if ((await attempt("Could not copy", async () => (await navigator.clipboard.writeText(text), true))) === true) done(`Copied ${text}`);
}

export function TimeCard() {
  const [card, setCard] = useState(/** @type {any} */ (null));
  const own = useRef(null);
  useLayoutEffect(() => {
    let timer = 0;
    const soon = (act, wait) => {
      clearTimeout(timer);
      timer = setTimeout(act, wait);
    };
    const over = (event) => {
      const time = event.target.closest?.("time[datetime]");
      if (own.current?.contains(event.target)) clearTimeout(timer);
      else if (time) soon(() => time.isConnected && open(time), event.type === "focusin" ? 0 : OPEN_MS);
      else soon(() => setCard(null), CLOSE_MS);
    };
    const open = async (time) => {
      const box = time.getBoundingClientRect();
      const place = { ms: Date.parse(time.dateTime), left: box.left, top: box.top, bottom: box.bottom, zone: "" };
      setCard(place);
      if (!time.dataset.job) return;
      const zone = await zoneOf(time.dataset.job);
      setCard((now) => (now === place ? { ...place, zone } : now));
    };
    const onKey = (event) => {
      if (event.key === "Escape") setCard(null);
      const time = event.target.closest?.("time[datetime]");
      if (event.key === "y" && time && !event.ctrlKey && !event.metaKey) {
        event.stopImmediatePropagation();
        copy(time.dateTime);
      }
    };
    const gone = () => soon(() => setCard(null), 0);
    document.addEventListener("pointerover", over);
    document.addEventListener("focusin", over);
    addEventListener("keydown", onKey, true);
    addEventListener("scroll", gone, { passive: true });
    return () => {
      clearTimeout(timer);
      document.removeEventListener("pointerover", over);
      document.removeEventListener("focusin", over);
      removeEventListener("keydown", onKey, true);
      removeEventListener("scroll", gone);
    };
  }, []);
  // Geometry through the CSSOM: the content policy takes no style of markup.
  useLayoutEffect(() => {
    if (!card || !own.current) return;
    const { offsetWidth: wide, offsetHeight: high } = own.current;
    const below = card.bottom + high + 8 < innerHeight;
    own.current.style.left = `${Math.max(8, Math.min(card.left, innerWidth - wide - 8))}px`;
    own.current.style.top = `${below ? card.bottom + 4 : Math.max(8, card.top - high - 4)}px`;
  }, [card]);
  if (!card || Number.isNaN(card.ms)) return null;
  return html`<div class="pop card" role="tooltip" ref=${own}>
    <dl>
      ${linesOf(card.ms, card.zone, stream.now()).map(
        ([name, text]) => html`<dt>${name}</dt><dd><button title="copy" tabindex="-1" onClick=${() => copy(text)}>${text}</button></dd>`,
      )}
    </dl>
  </div>`;
}
