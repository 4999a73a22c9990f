// Times as people write them. Pure.
import { instantOf } from "./format.js";

const UNITS_S = { s: 1, m: 60, h: 3600, d: 86400 };

/** What a person writes for a time, as the server takes it: now, +10m, 18:30, a date and time.
 *  @param {string} text @param {number} now @returns {string} */
export function timeOf(text, now) {
  const said = text.trim();
  if (said === "" || said === "now") return "now";
  const ahead = /^\+(\d+(?:\.\d+)?)\s*([smhd])$/.exec(said);
  if (ahead) return new Date(now + Number(ahead[1]) * UNITS_S[ahead[2]] * 1000).toISOString();
  if (/^\d{1,2}:\d{2}(:\d{2})?$/.test(said)) {
    const day = instantOf(`${dateOf(now)}T${said.padStart(said.split(":").length > 2 ? 8 : 5, "0")}`);
    // A time of the day that is over is meant for tomorrow.
    return Date.parse(day) < now - 60e3 ? new Date(Date.parse(day) + 86400e3).toISOString() : day;
  }
  return instantOf(said.replace(" ", "T"));
}

function dateOf(ms) {
  const midnight = instantOf("2000-01-01T00:00");
  const isUtc = midnight === "2000-01-01T00:00:00.000Z";
  const at = new Date(ms);
  return isUtc ? at.toISOString().slice(0, 10) : [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((n) => String(n).padStart(2, "0")).join("-");
}
