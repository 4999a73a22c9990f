// When what has changed is to be shown: in the next frame, and no more often than the page bears.

// What moves a row under the pointer does so at most so often; and so long a frame of a page that
// nobody sees may take to come.
export const SLOW_MS = 250;
// Showing changes takes at most this part of the time, so that scrolling and typing have the rest.
const SHARE = 1 / 2;
// Of a rest so much is made up for: what a run goes through at one go is seen in the frames in which it comes.
const MADE_UP_MS = 100;

/** Do something once what has just been drawn is painted and nothing else is to be done; in a while in any case.
 *  Returns what takes this back. @param {() => void} act */
export function oncePainted(act) {
  let frame = 0;
  let idle = 0;
  const forget = () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    window.cancelIdleCallback?.(idle);
  };
  const now = () => {
    forget();
    act();
  };
  const timer = setTimeout(now, SLOW_MS);
  frame = requestAnimationFrame(() => (idle = window.requestIdleCallback?.(now) ?? 0));
  return forget;
}

export class Pace {
  #show;
  #frame = 0;
  #timer = 0;
  #wantedMs = Infinity;
  /** Until when the share of the time is used up. */
  #usedMs = 0;
  #busy = false;

  /** @param {() => void} show what shows it */
  constructor(show) {
    this.#show = show;
  }

  /** Have it shown as soon as may be, not before an instant. @param {number} [ms] of `performance.now()` */
  ask(ms = 0) {
    if (ms >= this.#wantedMs) return;
    this.#wantedMs = ms;
    if (!this.#busy) this.#plan();
  }

  /** Show nothing that was asked for. */
  stop() {
    this.#wantedMs = Infinity;
    this.#clear();
  }

  #clear() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
  }

  #plan() {
    this.#clear();
    const wait = Math.max(this.#wantedMs, this.#usedMs) - performance.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#inFrame(), wait);
    else this.#inFrame();
  }

  #inFrame() {
    // Where nobody looks there are no frames.
    this.#timer = setTimeout(() => this.#run(), SLOW_MS);
    this.#frame = requestAnimationFrame(() => this.#run());
  }

  #run() {
    this.stop();
    const begun = performance.now();
    this.#busy = true;
    // When this comes, the frame has been laid out and painted.
    setTimeout(() => {
      this.#busy = false;
      const used = Math.min(SLOW_MS, (performance.now() - begun) / SHARE);
      this.#usedMs = Math.max(this.#usedMs, begun - MADE_UP_MS) + used;
      if (this.#wantedMs < Infinity) this.#plan();
    });
    this.#show();
  }
}
