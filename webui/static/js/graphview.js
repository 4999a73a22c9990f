// A graph of jobs, left to right: what is needed stands before what needs it. The layout is pure.
import { useTable } from "./astable.js";
import { html } from "./preact.js";
import { clock, duration, elapsed, shownState, when } from "./format.js";
import { jobPath } from "./api.js";
import { go } from "./router.js";
import { useNow } from "./stream.js";

const NODE_W = 168;
const NODE_H = 36;
const GAP_X = 46;
const GAP_Y = 12;
const SWEEPS = 6;

/** Layers of ids, and where each stands: {layers, at: Map(id, [layer, row])}.
 *  @param {string[]} ids @param {{before: string, after: string}[]} edges */
export function layered(ids, edges) {
  const before = new Map(ids.map((id) => [id, []]));
  const after = new Map(ids.map((id) => [id, []]));
  for (const edge of edges) {
    before.get(edge.after).push(edge.before);
    after.get(edge.before).push(edge.after);
  }
  const depth = new Map();
  const walking = new Set();
  const depthOf = (id) => {
    if (depth.has(id)) return depth.get(id);
    if (walking.has(id)) return 0; // a circle is cut where it is met
    walking.add(id);
    const found = Math.max(-1, ...before.get(id).map(depthOf)) + 1;
    walking.delete(id);
    depth.set(id, found);
    return found;
  };
  for (const id of ids) depthOf(id);
  // What needs nothing stands right before what needs it.
  for (const id of ids) if (!before.get(id).length && after.get(id).length) depth.set(id, Math.max(0, Math.min(...after.get(id).map((one) => depth.get(one))) - 1));
  const layers = [];
  for (const id of [...ids].sort()) (layers[depth.get(id)] ??= []).push(id);
  for (let place = 0; place < layers.length; place += 1) layers[place] ??= [];
  const row = new Map();
  const number = (layer) => layer.forEach((id, index) => row.set(id, index - (layer.length - 1) / 2));
  layers.forEach(number);
  const middle = (near, id) => (near.get(id).length ? near.get(id).reduce((sum, one) => sum + row.get(one), 0) / near.get(id).length : row.get(id));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : [...layers].reverse()) {
      const weight = new Map(layer.map((id) => [id, middle(forth ? before : after, id)]));
      layer.sort((a, b) => weight.get(a) - weight.get(b) || a.localeCompare(b));
      number(layer);
    }
  }
  const at = new Map();
  layers.forEach((layer, place) => layer.forEach((id, index) => at.set(id, [place, index - (layer.length - 1) / 2])));
  return { layers, at };
}

/** @param {{graph: any, focus?: string}} of */
export function GraphView({ graph, focus }) {
  const now = useNow();
  const ids = graph.nodes.map((node) => node.job_id);
  const { layers, at } = layered(ids, graph.edges);
  const most = Math.max(1, ...layers.map((layer) => layer.length));
  const width = layers.length * (NODE_W + GAP_X) - GAP_X + 4;
  const height = most * (NODE_H + GAP_Y) + 4;
  const x = (id) => 2 + at.get(id)[0] * (NODE_W + GAP_X);
  const y = (id) => height / 2 + at.get(id)[1] * (NODE_H + GAP_Y) - NODE_H / 2;
  const nodes = new Map(graph.nodes.map((node) => [node.job_id, node]));
  const isHot = (edge) => nodes.get(edge.after).last?.state === "waiting" && nodes.get(edge.before).last?.state !== "success";
  const edges = [...graph.edges].sort((a, b) => Number(isHot(a)) - Number(isHot(b)));
  const { button, table } = useTable("Graph of jobs", ["job", "latest run", "needs", "starts"], () => ids.map((id) => [html`<a href=${`/job/${jobPath(id)}`}>${id}</a>`, wordsOf(nodes.get(id), now), namesOf(graph.edges, "after", id, "needs"), namesOf(graph.edges, "before", id, "starts")]));
  const end = html`<div class="row"><span class="grow"></span>${button}</div>`;
  if (table) return html`${end}${table}`;
  return html`${end}<div class="gp" tabindex="0" role="region" aria-label="Graph of jobs"><svg class="graph" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="group" aria-label=${`${graph.nodes.length} jobs and ${graph.edges.length} dependencies`}>
    ${edges.map((edge) => {
      const [fromX, fromY] = [x(edge.before) + NODE_W, y(edge.before) + NODE_H / 2];
      const [toX, toY] = [x(edge.after), y(edge.after) + NODE_H / 2];
      const bend = Math.max(20, (toX - fromX) / 2);
      return html`<path class=${`line-x${isHot(edge) ? " hot" : ""}${edge.kind === "starts" ? " starts" : ""}`} d=${`M${fromX} ${fromY}C${fromX + bend} ${fromY} ${toX - bend} ${toY} ${toX} ${toY}`}><title>${edge.before} ${edge.kind === "starts" ? "starts" : "is needed by"} ${edge.after}</title></path>`;
    })}
    ${graph.nodes.map((node) => html`<${Node} key=${node.job_id} node=${node} x=${x(node.job_id)} y=${y(node.job_id)} isFocus=${node.job_id === focus} now=${now} />`)}
  </svg></div>`;
}

function Node({ node, x, y, isFocus, now }) {
  const { job_id: id, last } = node;
  const name = id.slice(id.lastIndexOf("/") + 1);
  const state = last ? shownState(last) : "scheduled";
  const open = (event) => {
    if (event.type === "keydown" && event.key !== "Enter") return;
    event.preventDefault();
    go(`/job/${jobPath(id)}`);
  };
  return html`<g class="gnode" role="link" tabindex="0" aria-label=${`${id}, ${last ? state : "has not run"}`} data-job=${id} data-state=${state} onClick=${open} onKeyDown=${open}>
    <title>${id}</title>
    <rect class=${`node${isFocus ? " me" : ""}`} x=${x} y=${y} width=${NODE_W} height=${NODE_H} rx="4" />
    <use class=${`s-${state} gicon`} href=${`#i-${state}`} x=${x + 9} y=${y + 11} width="14" height="14" />
    <text class="lbl-1" x=${x + 31} y=${y + 15}>${cut(name, 21)}</text>
    <text class="lbl" x=${x + 31} y=${y + 28}>${cut(noteOf(node, now), 26)}</text>
  </g>`;
}

/** State and time of a node in words. */
function wordsOf(node, now) {
  const [state, note] = [node.last ? shownState(node.last) : "", noteOf(node, now)];
  return !state || note.startsWith(state) ? note : `${state}, ${note}`;
}

/** The jobs at the other ends of a job's edges: those it needs, or those it starts. */
function namesOf(edges, end, id, kind) {
  const other = end === "after" ? "before" : "after";
  return edges.filter((edge) => edge[end] === id && (edge.kind === "starts") === (kind === "starts")).map((edge) => edge[other]).join(", ");
}

function noteOf({ last, next }, now) {
  if (last && ["waiting", "starting", "running", "stopping"].includes(last.state)) {
    const took = elapsed(last, now);
    return `${last.state} ${took === null ? "" : duration(took)}`.trim();
  }
  if (!last) return next ? `due ${when(Date.parse(next), now)}` : "has not run";
  const took = elapsed(last, now);
  const at = last.times[last.state];
  return `${at ? (now - Date.parse(at) < 12 * 3600e3 ? clock(Date.parse(at)).slice(0, 5) : when(Date.parse(at), now)) : last.state}${took === null ? "" : ` · ${duration(took)}`}`;
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
