// The one event stream: subscriptions by id, resumed by sequence number after a loss.
import { useLayoutEffect, useState } from "./preact.js";

const SILENCE_MS = 3500; // three heartbeats and a half
const NOT_LET_IN = 1008;
const RETRY_MS = [300, 700, 1500, 3000, 5000];

class Stream {
  constructor() {
    this.subscriptions = new Map();
    this.watchers = new Set();
    this.count = 0;
    this.tries = 0;
    this.skewMs = 0;
    this.lastMs = 0;
    this.seq = 0;
    this.status = "connecting";
    this.wanted = false;
    this.since = Date.now();
    setInterval(() => this.#checkSilence(), 1000);
  }

  /** Say no more and hear no more, until `connect`: nobody is known here. */
  stop() {
    this.wanted = false;
    this.socket?.close();
  }

  connect() {
    this.wanted = true;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v2/stream`);
    this.socket = socket;
    socket.onopen = () => {
      this.tries = 0;
      this.lastMs = Date.now();
      for (const [id, sub] of this.subscriptions) this.#subscribe(id, sub);
    };
    socket.onmessage = (event) => this.#hear(JSON.parse(event.data));
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.#is("reconnecting");
      const wait = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
      // It may have been closed since one is not known any more.
      if (event.code === NOT_LET_IN || this.tries > 1) dispatchEvent(new Event("callsheet:nobody"));
      setTimeout(() => this.wanted && !this.socket && this.connect(), wait * (0.7 + Math.random() * 0.6));
    };
  }

  /** Follow a topic until the returned function is called. `onResync` asks for the view's list anew.
   *  @param {any} op @param {(message: any) => void} onMessage @param {() => void} [onResync] */
  follow(op, onMessage, onResync = () => {}) {
    const id = `s${++this.count}`;
    const sub = { op, onMessage, onResync, place: null, known: false };
    this.subscriptions.set(id, sub);
    if (this.socket?.readyState === WebSocket.OPEN) this.#subscribe(id, sub);
    return () => {
      this.subscriptions.delete(id);
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ op: "unsubscribe", id }));
    };
  }

  /** The server's clock. */
  now() {
    return Date.now() + this.skewMs;
  }

  #subscribe(id, sub) {
    const op = { ...sub.op, op: "subscribe", id };
    if (sub.op.topic === "output") op.start = sub.next ?? sub.op.start;
    else if (sub.place) op.resume = sub.place;
    else if (sub.known) sub.onResync();
    sub.known = true;
    this.socket.send(JSON.stringify(op));
  }

  #hear(message) {
    this.lastMs = Date.now();
    if (message.beat) {
      if (message.beat.time) this.skewMs = Date.parse(message.beat.time) - Date.now();
      this.seq = message.beat.seq;
      this.#is(message.beat.ledger === false ? "reconnecting" : "live");
      return;
    }
    this.#is("live");
    const sub = this.subscriptions.get(message.id);
    if (!sub) return;
    if (message.epoch !== undefined && message.seq !== undefined) sub.place = `${message.epoch}:${message.seq}`;
    if (message.resync) sub.onResync();
    else {
      if (message.start !== undefined && message.length !== undefined) sub.next = message.next ?? message.length;
      sub.onMessage(message);
    }
  }

  #checkSilence() {
    if (this.status === "live" && Date.now() - this.lastMs > SILENCE_MS) this.#is("reconnecting");
    if (this.status === "reconnecting" && Date.now() - this.since > 10000) this.#is("stale");
    if (this.socket?.readyState === WebSocket.OPEN && Date.now() - this.lastMs > 3 * SILENCE_MS) this.socket.close();
  }

  #is(status) {
    if (status === this.status || (status === "reconnecting" && this.status === "stale")) return;
    const before = this.status;
    this.status = status;
    // A loss counts from the last word heard, not from when it was noticed.
    if (status === "live") this.since = Date.now();
    else if (before === "live") this.since = this.lastMs;
    for (const watch of this.watchers) watch(status, before);
  }
}

export const stream = new Stream();

/** The connection's status: connecting, live, reconnecting or stale. */
export function useStatus() {
  const [status, setStatus] = useState(stream.status);
  useLayoutEffect(() => {
    stream.watchers.add(setStatus);
    setStatus(stream.status); // it may have changed since the first drawing
    return () => stream.watchers.delete(setStatus);
  }, []);
  return status;
}

const tickers = new Set();
setInterval(() => {
  if (stream.status === "live") for (const tick of tickers) tick(stream.now());
}, 1000);

/** The server's time, once a second while the connection lives. One timer for the whole page. */
export function useNow() {
  const [now, setNow] = useState(stream.now());
  useLayoutEffect(() => {
    tickers.add(setNow);
    return () => tickers.delete(setNow);
  }, []);
  return now;
}
