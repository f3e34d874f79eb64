import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Document,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';

/** A value of a text with the place where it stands, counted in characters. */
export interface Located {
  readonly value: unknown;
  readonly at: number;
  /** What is in a map or list. */
  readonly inside: ReadonlyMap<string, Located>;
  /** Where the keys of a map stand. */
  readonly keys: ReadonlyMap<string, number>;
}

/** Something in a text that is refused. */
export class Misplaced extends Error {
  override readonly name = 'Misplaced';
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Of YAML's own kinds of values. */
const TAGS = new Set(
  ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((kind) => `tag:yaml.org,2002:${kind}`),
);
const DEPTH_MAX = 12;
/** With what aliases repeat: a text of a few lines can stand for any number of values. */
const NODES_MAX = 100_000;
const NONE: ReadonlyMap<string, never> = new Map<string, never>();

/** Turns the nodes of one text into values; all documents share its limit. */
export class Locating {
  private nodes = 0;

  /** @throws Misplaced */
  locate(document: Document.Parsed): Located {
    return this.node(document.contents, { depth: 0, at: 0, anchors: new Map() });
  }

  private node(node: unknown, { depth, at, anchors }: Walk): Located {
    const place = startOf(node, at);
    this.count(depth, place);
    const walk = { depth: depth + 1, at: place, anchors };
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target === undefined) {
        throw new Misplaced(place, unknownAlias(node.source));
      }
      return { ...this.node(target, walk), at: place };
    }
    if (isMap(node) || isSeq(node) || isScalar(node)) {
      return this.value(node, walk);
    }
    return { value: null, at: place, inside: NONE, keys: NONE };
  }

  private value(node: YAMLMap | YAMLSeq | Scalar, walk: Walk): Located {
    refuseTag(node, walk.at);
    if (node.anchor !== undefined) {
      walk.anchors.set(node.anchor, node);
    }
    if (isScalar(node)) {
      return { value: node.value, at: walk.at, inside: NONE, keys: NONE };
    }
    return isMap(node) ? this.map(node, walk) : this.list(node, walk);
  }

  private count(depth: number, at: number): void {
    this.nodes += 1;
    if (depth > DEPTH_MAX) {
      throw new Misplaced(at, `nested more than ${String(DEPTH_MAX)} deep`);
    }
    if (this.nodes > NODES_MAX) {
      throw new Misplaced(at, 'the file stands for too many values; use fewer aliases');
    }
  }

  private map(map: YAMLMap, walk: Walk): Located {
    const inside = new Map<string, Located>();
    const keys = new Map<string, number>();
    // Without a prototype `__proto__` is a name like any other.
    const value = Object.create(null) as Record<string, unknown>;
    for (const pair of map.items) {
      const [key, at] = keyOf(pair, walk.at);
      if (keys.has(key)) {
        throw new Misplaced(at, `${key} is given twice`);
      }
      const found = this.node(pair.value, { ...walk, at });
      keys.set(key, at);
      inside.set(key, found);
      value[key] = found.value;
    }
    return { value, at: walk.at, inside, keys };
  }

  private list(list: YAMLSeq, walk: Walk): Located {
    const entries = list.items.map((item) => this.node(item, walk));
    return {
      value: entries.map(({ value }) => value),
      at: walk.at,
      inside: new Map(entries.map((entry, index) => [String(index), entry])),
      keys: NONE,
    };
  }
}

interface Walk {
  readonly depth: number;
  /** Where the thing around stands, for what has no place of its own. */
  readonly at: number;
  readonly anchors: Map<string, Node>;
}

/** Says what most people meant who wrote a star without quotes. */
function unknownAlias(name: string): string {
  return `*${name} names no anchor; a text that begins with * needs quotes: "*${name}"`;
}

function keyOf({ key }: Pair, around: number): readonly [string, number] {
  const at = startOf(key, around);
  if (!isScalar(key) || typeof key.value !== 'string') {
    throw new Misplaced(at, 'the name of a field must be a text');
  }
  return [key.value, at];
}

function refuseTag({ tag }: { readonly tag?: string }, at: number): void {
  if (tag !== undefined && !TAGS.has(tag)) {
    throw new Misplaced(at, `the tag ${tag} means nothing here; leave it out`);
  }
}

function startOf(node: unknown, around: number): number {
  const { range } = (node ?? {}) as { readonly range?: readonly number[] | null };
  return range?.[0] ?? around;
}
