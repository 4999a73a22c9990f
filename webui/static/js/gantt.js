// The geometry of a timeline: lanes by folder and job, bars of runs, what is likely. Pure.

export const LANE = 17;
export const TOP = 42;
const THIN = 2;
const FEW = 3;
// Worst last: drawn on top.
export const DRAWN = ["success", "skipped", "running", "held", "lost", "error", "failure"];
const TALL = { success: 8, skipped: 3, running: 10, held: 11, lost: 13, error: 13, failure: 13 };
const AS = { starting: "running", stopping: "running" };

/** How wide the names stand of a picture of so many px. @param {number} width */
export function labelsOf(width) {
  return width < 640 ? 112 : width < 1600 ? 190 : 300;
}

/** Rows of the picture: folder heads and lanes, what is in no folder last. @param {any[]} jobs */
export function rowsOf(jobs) {
  const rows = [];
  let y = TOP + 8;
  let folder = null;
  const headOf = ({ job_id: id }) => id.slice(0, Math.max(0, id.indexOf("/")));
  for (const lane of [...jobs].sort((a, b) => Number(!headOf(a)) - Number(!headOf(b)))) {
    const cut = lane.job_id.indexOf("/");
    const head = headOf(lane);
    if (head !== folder) {
      if (folder !== null) y += 6;
      folder = head;
      rows.push({ kind: "folder", name: head || "no folder", y });
      y += LANE;
    }
    rows.push({ kind: "lane", lane, name: cut < 0 ? lane.job_id : lane.job_id.slice(cut + 1), y });
    y += LANE;
  }
  return { rows, height: y + 8 };
}

/** What is drawn of one lane: {paths by state, forecast, whiskers, waits, late, deadlines, hits}.
 *  @param {any} row @param {{from: number, to: number, width: number, labels: number}} view @param {number} now */
export function laneShapes(row, view, now) {
  const x = (ms) => view.labels + ((ms - view.from) / (view.to - view.from)) * (view.width - view.labels - 6);
  const inside = (a, b) => b >= view.from && a <= view.to;
  const clip = (px) => Math.min(view.width - 6, Math.max(view.labels, px));
  const middle = row.y + LANE / 2;
  const shapes = { paths: {}, forecast: "", whiskers: "", waits: "", late: "", deadlines: [], hits: [] };
  const box = (state, from, to) => {
    const tall = TALL[state] ?? 8;
    const [a, b] = [clip(x(from)), clip(x(to))];
    const wide = Math.max(THIN, b - a);
    shapes.paths[state] = `${shapes.paths[state] ?? ""}M${a.toFixed(1)} ${(middle - tall / 2).toFixed(1)}h${wide.toFixed(1)}v${tall}h-${wide.toFixed(1)}z`;
  };
  const likely = (from, begin, usual) => {
    // What takes no time, or nobody knows how long, is a mark at its time.
    if (!usual || usual.p50 === 0) {
      if (from === begin && inside(from, from)) shapes.forecast += `M${clip(x(from)).toFixed(1)} ${middle - 4}h3v8h-3z`;
      return;
    }
    const [half, nine] = [from + usual.p50 * 1000, from + usual.p90 * 1000];
    if (half > begin && inside(begin, half)) shapes.forecast += `M${clip(x(begin)).toFixed(1)} ${middle - 4}h${Math.max(3, clip(x(half)) - clip(x(begin))).toFixed(1)}v8h-${Math.max(3, clip(x(half)) - clip(x(begin))).toFixed(1)}z`;
    const since = Math.max(half, begin);
    const reach = x(nine) - x(since);
    if (reach > 3 && inside(since, nine)) shapes.whiskers += `M${clip(x(since)).toFixed(1)} ${middle}H${clip(x(nine)).toFixed(1)}M${clip(x(nine)).toFixed(1)} ${middle - 3}v6`;
  };
  const { usual } = row.lane;
  const few = row.lane.runs.filter((run) => run.finish_by).length <= FEW;
  for (const run of row.lane.runs) {
    const state = AS[run.state] ?? run.state;
    const hit = (from, to) => inside(from, to) && shapes.hits.push({ run, from: clip(x(from)) - 2, to: Math.max(clip(x(to)), clip(x(from)) + 4) + 2 });
    if (state === "scheduled" && run.due > now - 60e3) {
      likely(run.due, run.due, usual);
      hit(run.due, run.due + (usual?.p50 ?? 0) * 1000);
    } else if (state === "held") {
      const at = Math.max(run.due, view.from);
      if (inside(run.due, run.due)) shapes.paths.held = `${shapes.paths.held ?? ""}M${x(at).toFixed(1)} ${middle - 5.5}h3v11h-3zM${(x(at) + 5).toFixed(1)} ${middle - 5.5}h3v11h-3z`;
      hit(run.due, run.due);
    } else if (state === "scheduled" || state === "waiting") {
      const isLate = now - run.due >= 60e3;
      if (inside(run.due, now)) {
        if (isLate) shapes.late += `M${clip(x(run.due)).toFixed(1)} ${middle - 5}h2v10h-2zM${clip(x(run.due)).toFixed(1)} ${middle - 1.5}h${Math.max(THIN, clip(x(now)) - clip(x(run.due))).toFixed(1)}v3h-${Math.max(THIN, clip(x(now)) - clip(x(run.due))).toFixed(1)}z`;
        else shapes.waits += `M${clip(x(run.due)).toFixed(1)} ${middle}H${clip(x(now)).toFixed(1)}`;
      }
      likely(now, now, usual);
      hit(run.due, now);
    } else if (state === "running") {
      const begun = run.start ?? run.due;
      if (inside(begun, now)) box("running", begun, now);
      likely(begun, Math.max(begun, now), usual);
      hit(begun, now);
    } else {
      const begun = run.start ?? run.end ?? run.due;
      const ended = run.end ?? begun;
      if (inside(begun, ended)) box(state, begun, ended);
      hit(begun, ended);
    }
    // A deadline that is met as usual is told only where there are few.
    const close = usual && (run.start ?? Math.max(run.due, now)) + usual.p90 * 1000 > run.finish_by;
    if (run.finish_by && inside(run.finish_by, run.finish_by) && (close || few)) shapes.deadlines.push({ x: x(run.finish_by), y: middle, run });
  }
  return shapes;
}
