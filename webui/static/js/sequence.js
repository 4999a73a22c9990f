// A long sequence of which only some is known: what is not known is counted, not kept. Pure.
// A balanced tree by places (a treap): whatever is asked or changed, it looks at a number of nodes
// that grows with the logarithm of the length, so that one change of a list of half a million costs
// what one of a hundred costs.

/** Of one known item (`width` 1), or of so many unknown ones. `size` and `first` are of the whole subtree.
 *  @typedef {{item: any, width: number, size: number, first: Node | null, rank: number, left: Node | null, right: Node | null, up: Node | null}} Node */

const SEED = 0x2545f491;

export class Sequence {
  /** @type {Node | null} */
  #root = null;
  /** @type {Map<string, Node>} */
  #nodes = new Map();
  #keyOf;
  #random = SEED;
  /** Nodes that were looked at or changed so far: what all this has cost. */
  steps = 0;

  /** @param {(item: any) => string} keyOf by which an item is found; no two items share one
   *  @param {number} [length] how many unknown ones there are at first */
  constructor(keyOf, length = 0) {
    this.#keyOf = keyOf;
    if (length) this.#root = this.#node(null, length);
  }

  get length() {
    return this.#root?.size ?? 0;
  }

  /** How many are known. */
  get known() {
    return this.#nodes.size;
  }

  /** The item with a key, if it is known. @param {string} key */
  get(key) {
    return this.#nodes.get(key)?.item;
  }

  /** The place of the item with a key; -1: it is not known. @param {string} key */
  placeOf(key) {
    let node = this.#nodes.get(key) ?? null;
    if (!node) return -1;
    let place = node.left?.size ?? 0;
    for (; node.up; node = node.up) {
      this.steps += 1;
      if (node.up.right === node) place += (node.up.left?.size ?? 0) + node.up.width;
    }
    return place;
  }

  /** The item at a place; null: not known, or beyond the end. @param {number} place */
  at(place) {
    if (place < 0) return null;
    let node = this.#root;
    while (node) {
      this.steps += 1;
      const before = node.left?.size ?? 0;
      if (place < before) node = node.left;
      else if (place < before + node.width) return node.item;
      else {
        place -= before + node.width;
        node = node.right;
      }
    }
    return null;
  }

  /** What stands at these places, null for what is not known. @param {number} first @param {number} last the first that is not meant */
  slice(first, last) {
    const found = [];
    const walk = (node, begin) => {
      if (!node || begin >= last || begin + node.size <= first) return;
      this.steps += 1;
      const own = begin + (node.left?.size ?? 0);
      walk(node.left, begin);
      for (let at = Math.max(own, first); at < Math.min(own + node.width, last); at += 1) found.push(node.item);
      walk(node.right, own + node.width);
    };
    walk(this.#root, 0);
    return found;
  }

  /** The known items in their order, from a place on. @param {number} [from] @returns {Generator<any>} */
  *items(from = 0) {
    const above = [];
    let begin = 0;
    let node = this.#root;
    while (node || above.length) {
      while (node) {
        above.push({ node, begin });
        node = begin + (node.left?.size ?? 0) > from ? node.left : null;
      }
      const last = /** @type {{node: Node, begin: number}} */ (above.pop());
      const own = last.begin + (last.node.left?.size ?? 0);
      if (last.node.item !== null && own >= from) yield last.node.item;
      begin = own + last.node.width;
      node = last.node.right;
    }
  }

  /** The place of the first known item that does not stand before what is looked for; the length when there is
   *  none. Between it and the known one before it may be unknown ones.
   *  @param {(item: any) => number} order negative: the item stands before it */
  seek(order) {
    let node = this.#root;
    let found = null;
    while (node) {
      this.steps += 1;
      const next = node.item === null ? (node.right?.first ?? null) : node;
      if (next && order(next.item) < 0) node = node.right;
      else {
        found = next ?? found;
        node = node.left;
      }
    }
    return found ? this.placeOf(this.#keyOf(found.item)) : this.length;
  }

  /** Put an item between what stands before a place and what stands there. @param {number} place @param {any} item */
  insert(place, item) {
    const [before, after] = this.#split(this.#root, place);
    this.#become(this.#merge(this.#merge(before, this.#node(item, 1)), after));
  }

  /** Put one more unknown at a place. @param {number} place */
  widen(place) {
    const [before, after] = this.#split(this.#root, place);
    this.#become(this.#merge(this.#merge(before, this.#node(null, 1)), after));
  }

  /** Have an item be what stands at a place that there is. @param {number} place @param {any} item */
  put(place, item) {
    const old = this.at(place);
    const node = old === null ? undefined : this.#nodes.get(this.#keyOf(old));
    if (node && this.#keyOf(old) === this.#keyOf(item)) node.item = item;
    else {
      this.remove(place);
      this.insert(place, item);
    }
  }

  /** Take out what stands at a place. @param {number} place */
  remove(place) {
    const [before, rest] = this.#split(this.#root, place);
    const [gone, after] = this.#split(rest, 1);
    this.#forget(gone);
    this.#become(this.#merge(before, after));
  }

  /** Let nothing stand at this place and behind it. @param {number} length */
  cut(length) {
    const [kept, gone] = this.#split(this.#root, length);
    this.#forget(gone);
    this.#become(kept);
  }

  /** @returns {Node} */
  #node(item, width) {
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    const node = { item, width, size: width, first: null, rank: this.#random >>> 0, left: null, right: null, up: null };
    if (item !== null) {
      node.first = /** @type {any} */ (node);
      this.#nodes.set(this.#keyOf(item), node);
    }
    return node;
  }

  #become(root) {
    this.#root = root;
    if (root) root.up = null;
  }

  #forget(node) {
    if (!node) return;
    if (node.item !== null) this.#nodes.delete(this.#keyOf(node.item));
    this.#forget(node.left);
    this.#forget(node.right);
  }

  /** Reckon anew what a node says of its subtree. */
  #update(node) {
    this.steps += 1;
    const { left, right } = node;
    if (left) left.up = node;
    if (right) right.up = node;
    node.size = (left?.size ?? 0) + node.width + (right?.size ?? 0);
    node.first = left?.first ?? (node.item === null ? (right?.first ?? null) : node);
    return node;
  }

  /** Cut a subtree in two, before a place. @returns {[Node | null, Node | null]} */
  #split(node, place) {
    if (!node || place <= 0) return [null, node];
    if (place >= node.size) return [node, null];
    const before = node.left?.size ?? 0;
    if (place <= before) {
      const [first, second] = this.#split(node.left, place);
      node.left = second;
      return [first, this.#update(node)];
    }
    if (place >= before + node.width) {
      const [first, second] = this.#split(node.right, place - before - node.width);
      node.right = first;
      return [this.#update(node), second];
    }
    // Within unknown ones: they are two nodes from now on.
    const rest = this.#merge(this.#node(null, before + node.width - place), node.right);
    node.width = place - before;
    node.right = null;
    return [this.#update(node), rest];
  }

  /** @returns {Node | null} */
  #merge(first, second) {
    if (!first || !second) return first ?? second;
    if (first.rank >= second.rank) {
      first.right = this.#merge(first.right, second);
      return this.#update(first);
    }
    second.left = this.#merge(first, second.left);
    return this.#update(second);
  }
}
