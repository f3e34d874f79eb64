import type { Found, Protocol } from './explorer.ts';
import { RULES, type Rules } from './rules.ts';

/**
 * What is in the bucket, as bit masks. A *name* is a slot of a logical pack; an *object* is one
 * generation of a pack and holds some names. Every object of the store is a field that is zero
 * until its put.
 */
export interface Actor {
  steps(state: Uint16Array, stepper: Stepper): void;
}

/** Makes successors: `fork`, change, `done`. */
export class Stepper {
  readonly #next: Uint16Array;
  #from: Uint16Array;
  #found: Found = () => undefined;

  constructor(size: number) {
    this.#next = new Uint16Array(size);
    this.#from = this.#next;
  }

  begin(from: Uint16Array, found: Found): void {
    this.#from = from;
    this.#found = found;
  }

  fork(): Uint16Array {
    this.#next.set(this.#from);
    return this.#next;
  }

  done(label: string): void {
    this.#found(this.#next, label);
  }
}

export interface Alias {
  readonly from: number;
  readonly to: number;
}

interface StoredObject {
  readonly pack: number;
  readonly field: number;
}

export interface WorldOptions {
  readonly rules?: Rules;
  /** Lists come in pages, and puts take effect between them. */
  readonly paged?: boolean;
  /** Retired points disappear; with `all` their retire objects, too. */
  readonly forgets?: 'points' | 'all';
  /** Name 0 is damaged at some time, and a scrub finds it. */
  readonly damages?: boolean;
}

export class World implements Protocol {
  readonly rules: Rules;
  readonly options: WorldOptions;
  readonly objects: StoredObject[] = [];
  /** Per point the names that it refers to. */
  readonly points: number[] = [];
  /** By point: the page of a list that shows it. */
  readonly #pages: number[] = [];
  readonly manifests: number[] = [];
  readonly spared: number[] = [];
  readonly aliases: (readonly Alias[])[] = [];
  readonly #initial: number[] = [];
  readonly #actors: Actor[] = [];
  readonly #classes = new Map<number, Uint16Array>();
  readonly #reaches = new Map<number, Uint16Array>();
  #names = 0;
  #stepper: Stepper | undefined;
  /** Points that a user may retire. */
  retirable = 0;

  /** Masks of points. */
  readonly sealed: number;
  readonly retired: number;
  readonly asked: number;
  readonly success: number;
  /** hold/ objects, and those of them whose put was reported as a success. */
  readonly holds: number;
  readonly held: number;
  /** Names that were ever put. */
  readonly ever: number;
  /** Alias objects. */
  readonly aliasSet: number;
  /** Bit 0: name 0 is damaged, 1: bad/ says so, 2: a success promised that it is healed. */
  readonly damage: number;
  /** Set by steps that break a promise at once. */
  readonly wrong: number;

  constructor(options: WorldOptions = {}) {
    this.options = options;
    this.rules = options.rules ?? RULES;
    this.sealed = this.field();
    this.retired = this.field();
    this.asked = this.field();
    this.success = this.field();
    this.holds = this.field();
    this.held = this.field();
    this.ever = this.field();
    this.aliasSet = this.field();
    this.damage = this.field();
    this.wrong = this.field();
  }

  get size(): number {
    return this.#initial.length;
  }

  get pages(): number {
    return this.options.paged === true ? 2 : 1;
  }

  field(value = 0): number {
    return this.#initial.push(value) - 1;
  }

  name(): number {
    this.#names += 1;
    return this.#names - 1;
  }

  object(pack: number, names = 0): number {
    this.objects.push({ pack, field: this.field(names) });
    this.#initial[this.ever] = (this.#initial[this.ever] ?? 0) | names;
    return this.objects.length - 1;
  }

  point(page: number, names = 0): number {
    this.points.push(this.field(names));
    this.#pages.push(page);
    const index = this.points.length - 1;
    if (names !== 0) {
      this.#initial[this.sealed] = (this.#initial[this.sealed] ?? 0) | (1 << index);
      this.retirable |= 1 << index;
    }
    return index;
  }

  /** Adds a name whose object is gone; old indexes still have it. */
  formerName(): number {
    const name = this.name();
    this.#initial[this.ever] = (this.#initial[this.ever] ?? 0) | (1 << name);
    return name;
  }

  /** Adds an alias object that is there from the beginning. */
  formerAlias(pairs: readonly Alias[]): void {
    const alias = this.alias(pairs);
    this.#initial[this.aliasSet] = (this.#initial[this.aliasSet] ?? 0) | (1 << alias);
  }

  manifest(): number {
    this.spared.push(this.field());
    return this.manifests.push(this.field()) - 1;
  }

  alias(pairs: readonly Alias[]): number {
    return this.aliases.push(pairs) - 1;
  }

  add(actor: Actor): this {
    this.#actors.push(actor);
    return this;
  }

  initial(): Uint16Array {
    return Uint16Array.from(this.#initial);
  }

  /** Points that page `page` of a list shows. */
  inPage(page: number): number {
    let mask = 0;
    for (let point = 0; point < this.points.length; point++) {
      if (this.pages === 1 || this.#pages[point] === page) {
        mask |= 1 << point;
      }
    }
    return mask;
  }

  /** Points that exist. */
  present(s: Uint16Array): number {
    let mask = 0;
    for (let point = 0; point < this.points.length; point++) {
      if (this.refs(s, point) !== 0) {
        mask |= 1 << point;
      }
    }
    return mask;
  }

  refs(s: Uint16Array, point: number): number {
    return s[this.points[point]!]!;
  }

  /** Returns what these points refer to. */
  live(s: Uint16Array, points: number): number {
    const roots = this.rules.unsealedAreRoots ? points : points & s[this.sealed]!;
    let names = 0;
    for (let point = 0; point < this.points.length; point++) {
      if ((roots >> point) & 1) {
        names |= this.refs(s, point);
      }
    }
    return names;
  }

  stored(s: Uint16Array): number {
    let names = 0;
    for (const { field } of this.objects) {
      names |= s[field]!;
    }
    return names;
  }

  /** What page `page` of a list of gc/ condemns. */
  condemned(s: Uint16Array, page?: number): number {
    let names = 0;
    for (let index = 0; index < this.manifests.length; index++) {
      if (page === undefined || this.pages === 1 || page === index % 2) {
        const spared = this.rules.sparedStayCondemned ? 0 : s[this.spared[index]!]!;
        names |= s[this.manifests[index]!]! & ~spared;
      }
    }
    return names;
  }

  /** Returns all names of the slots that have these names. */
  spread(names: number, aliasSet: number): number {
    const classes = this.#table(this.#classes, aliasSet, true);
    let all = 0;
    for (let name = 0; name < this.#names; name++) {
      if ((names >> name) & 1) {
        all |= classes[name]!;
      }
    }
    return all;
  }

  steps(state: Uint16Array, found: Found): void {
    const stepper = (this.#stepper ??= new Stepper(this.size));
    stepper.begin(state, found);
    this.#userSteps(state, stepper);
    for (const actor of this.#actors) {
      actor.steps(state, stepper);
    }
  }

  broken(s: Uint16Array): string | undefined {
    if (s[this.wrong] !== 0) {
      return s[this.wrong] === 1
        ? 'success was reported for a retired point'
        : 'success was reported for a point on a slot that was known to be damaged';
    }
    const counted = (s[this.sealed]! & ~s[this.retired]!) | s[this.held]!;
    if (counted === 0) {
      return undefined;
    }
    const damage = s[this.damage]!;
    const available = this.stored(s) & (damage & 1 ? ~1 : ~0);
    // Damage is no fault of the protocol until a success promised otherwise.
    const excused = (damage & 5) === 1 ? 1 : 0;
    const reaches = this.#table(this.#reaches, s[this.aliasSet]!, false);
    for (let point = 0; point < this.points.length; point++) {
      if (!((counted >> point) & 1)) {
        continue;
      }
      const missing = this.refs(s, point) & ~available & ~excused;
      for (let name = 0; name < this.#names; name++) {
        if ((missing >> name) & 1 && (reaches[name]! & available) === 0) {
          return `slot ${name} of the point ${point} is lost`;
        }
      }
    }
    return undefined;
  }

  #userSteps(s: Uint16Array, stepper: Stepper): void {
    const retired = s[this.retired]!;
    const mayRetire = s[this.sealed]! & this.retirable & ~retired;
    for (let point = 0; point < this.points.length; point++) {
      const bit = 1 << point;
      if (mayRetire & bit) {
        const next = stepper.fork();
        next[this.retired] = retired | bit;
        stepper.done(`user retires point ${point}`);
      }
      if (retired & bit && !this.rules.retirePermanent) {
        const next = stepper.fork();
        next[this.retired] = retired & ~bit;
        stepper.done(`the retire object of point ${point} is removed`);
      }
      if (
        retired & bit & ~s[this.holds]! &&
        this.options.forgets !== undefined &&
        this.refs(s, point) !== 0
      ) {
        const next = stepper.fork();
        next[this.points[point]!] = 0;
        next[this.sealed] = s[this.sealed]! & ~bit;
        if (this.options.forgets === 'all') {
          next[this.retired] = retired & ~bit;
        }
        stepper.done(`point ${point} is removed`);
      }
    }
    if (this.options.damages === true && s[this.damage]! < 2) {
      const next = stepper.fork();
      next[this.damage] = (s[this.damage] ?? 0) === 0 ? 1 : 3;
      stepper.done(s[this.damage] === 0 ? 'slot 0 is damaged' : 'scrub puts bad/');
    }
  }

  /** By name: the names of the same slot (`both` ways), or those to which a reader goes on. */
  #table(tables: Map<number, Uint16Array>, aliasSet: number, both: boolean): Uint16Array {
    const known = tables.get(aliasSet);
    if (known !== undefined) {
      return known;
    }
    const table = Uint16Array.from({ length: this.#names }, (_, name) => 1 << name);
    const pairs = this.aliases.flatMap((list, index) => ((aliasSet >> index) & 1 ? list : []));
    for (let round = 0; round < this.#names; round++) {
      for (const { from, to } of pairs) {
        table[from] = table[from]! | table[to]!;
        if (both) {
          table[to] = table[to]! | table[from];
        }
      }
    }
    tables.set(aliasSet, table);
    return table;
  }
}
