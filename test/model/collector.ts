import type { Actor, Stepper, World } from './world.ts';

const MARK = 0;
const PUT_MANIFEST = 1;
const LIST_RETIRED = 2;
const LIST_HOLDS = 3;
const LIST_POINTS = 4;
const LIST_ALIASES = 5;
const REMOVE = 6;
const COMPACT = 7;
const REMOVE_COMPACTED = 8;
const END = 9;

export interface CollectorOptions {
  readonly title: string;
  /** Takes over any manifest, as after a restart; the first instance may still be at it. */
  readonly adopts?: boolean;
  /** Writes what is left of this pack as a new generation. */
  readonly compacts?: number;
  /** Condemns any names at all, live or not: the protocol must not depend on what G0 found. */
  readonly marksAnything?: boolean;
}

/** G0 to G3. Its control word: step, page << 4, compacted object << 5, manifest << 10. */
export class Collector implements Actor {
  readonly #world: World;
  readonly #options: CollectorOptions;
  readonly #manifest: number;
  /** The object that it writes when it compacts. */
  readonly #target: number;
  readonly #control: number;
  readonly #retired: number;
  readonly #points: number;
  readonly #todo: number;
  readonly #aliases: number;
  readonly #labels: readonly string[];

  constructor(world: World, options: CollectorOptions) {
    this.#world = world;
    this.#options = options;
    this.#manifest = options.adopts === true ? 0 : world.manifest();
    this.#target = options.compacts === undefined ? -1 : world.object(options.compacts);
    this.#control = world.field();
    this.#retired = world.field();
    this.#points = world.field();
    this.#todo = world.field();
    this.#aliases = world.rules.aliasesListedAgain ? -1 : world.field();
    const { title } = options;
    this.#labels = [
      'G0',
      'G1 puts gc/',
      'G2 lists retire/',
      'G2 lists hold/',
      'G2 lists s/',
      'G2 lists alias/',
      'G3 removes',
      'G3 compacts',
      'G3 removes what it compacted',
    ].map((text) => `${title} ${text}`);
  }

  steps(s: Uint16Array, stepper: Stepper): void {
    const control = s[this.#control]!;
    switch (control & 15) {
      case MARK:
        if (this.#options.adopts === true) {
          this.#adopt(s, stepper);
        } else {
          this.#mark(s, stepper);
        }
        return;
      case PUT_MANIFEST: {
        const next = this.#go(
          stepper,
          control,
          this.#world.rules.marksAgain ? this.#first() : REMOVE,
        );
        next[this.#world.manifests[this.#manifest]!] = s[this.#todo]!;
        stepper.done(this.#labels[PUT_MANIFEST]!);
        return;
      }
      case LIST_RETIRED:
      case LIST_HOLDS:
      case LIST_POINTS:
        this.#list(s, stepper, control & 15);
        return;
      case LIST_ALIASES:
        this.#clear(s, stepper);
        return;
      case REMOVE:
        this.#remove(s, stepper);
        return;
      case COMPACT:
        this.#compact(s, stepper);
        return;
      case REMOVE_COMPACTED:
        this.#removeCompacted(s, stepper);
        return;
      default:
    }
  }

  /** What the collection lists in G2, in order. */
  #order(): readonly number[] {
    const { retiredBeforePoints, holdsAfterRetired } = this.#world.rules;
    const retired = holdsAfterRetired ? [LIST_RETIRED, LIST_HOLDS] : [LIST_HOLDS, LIST_RETIRED];
    return retiredBeforePoints ? [...retired, LIST_POINTS] : [LIST_POINTS, ...retired];
  }

  #first(): number {
    return this.#order()[0]!;
  }

  #mark(s: Uint16Array, stepper: Stepper): void {
    const world = this.#world;
    const control = (this.#manifest << 10) | 0;
    const stored = world.stored(s);
    if (this.#options.marksAnything === true) {
      for (let names = stored; names !== 0; names = (names - 1) & stored) {
        this.#marked(s, stepper, control, names);
      }
      return;
    }
    const points = world.present(s) & ~s[world.retired]!;
    const held = world.rules.heldAreRoots ? s[world.holds]! : 0;
    const live = world.live(s, points | held);
    const aliasSet = s[world.aliasSet]!;
    const dead = stored & ~(world.rules.aliasesMarked ? world.spread(live, aliasSet) : live);
    if (dead !== 0) {
      this.#marked(s, stepper, control, dead);
    }
  }

  #marked(s: Uint16Array, stepper: Stepper, control: number, dead: number): void {
    const { rules, aliasSet } = this.#world;
    const next = this.#go(stepper, control, PUT_MANIFEST);
    next[this.#todo] = rules.manifestNamesAliases ? this.#world.spread(dead, s[aliasSet]!) : dead;
    if (this.#aliases >= 0) {
      next[this.#aliases] = s[aliasSet]!;
    }
    stepper.done(this.#labels[MARK]!);
  }

  #adopt(s: Uint16Array, stepper: Stepper): void {
    for (let index = 0; index < this.#world.manifests.length; index++) {
      if (s[this.#world.manifests[index]!] !== 0) {
        const next = this.#go(stepper, index << 10, this.#first());
        next[this.#todo] = s[this.#world.manifests[index]!]!;
        if (this.#aliases >= 0) {
          next[this.#aliases] = s[this.#world.aliasSet]!;
        }
        stepper.done(`${this.#options.title} takes over a manifest`);
      }
    }
  }

  #list(s: Uint16Array, stepper: Stepper, step: number): void {
    const world = this.#world;
    const control = s[this.#control]!;
    const page = (control >> 4) & 1;
    const next = stepper.fork();
    const shown = world.inPage(page);
    let isLast = page + 1 >= world.pages;
    if (step === LIST_POINTS) {
      next[this.#points] = s[this.#points]! | (world.present(s) & shown);
    } else if (step === LIST_RETIRED) {
      next[this.#retired] = s[this.#retired]! | (s[world.retired]! & shown);
    } else {
      // Holds are kept in the upper half; lists of them are short, one page.
      next[this.#retired] = s[this.#retired]! | (s[world.holds]! << 8);
      isLast = true;
    }
    if (!isLast) {
      next[this.#control] = control | (1 << 4);
    } else {
      const order = this.#order();
      const after = order[order.indexOf(step) + 1] ?? LIST_ALIASES;
      next[this.#control] = (control & ~31) | after;
    }
    stepper.done(this.#labels[step]!);
  }

  /** The end of G2: what is cleared for removal. */
  #clear(s: Uint16Array, stepper: Stepper): void {
    const world = this.#world;
    const { rules } = world;
    const manifest = s[this.#todo]!;
    const listed = s[this.#retired]!;
    const held = rules.heldAreRoots ? listed >> 8 : 0;
    const roots = s[this.#points]! & (~(listed & 255) | held);
    if (rules.beginsAgainWhenPointGone && (roots & ~world.present(s)) !== 0) {
      this.#beginAgain(s, stepper);
      return;
    }
    const aliasSet = s[this.#aliases >= 0 ? this.#aliases : world.aliasSet]!;
    const live = world.live(s, roots);
    const candidates = rules.removesOnlyCondemned ? manifest : world.stored(s);
    let cleared = candidates & ~(rules.aliasesMarked ? world.spread(live, aliasSet) : live);
    const wholeOnly = rules.wholeClassOnly && rules.removesOnlyCondemned;
    for (let name = 0; wholeOnly && cleared >> name; name++) {
      if ((cleared >> name) & 1 && (world.spread(1 << name, aliasSet) & ~manifest) !== 0) {
        cleared &= ~(1 << name);
      }
    }
    const control = s[this.#control]!;
    const next = this.#go(stepper, control, cleared === 0 ? END : REMOVE);
    next[this.#todo] = cleared;
    next[this.#retired] = 0;
    next[this.#points] = 0;
    const spared = world.spared[(control >> 10) & 7]!;
    if (!rules.sparedStayCondemned) {
      next[spared] = s[spared]! | (manifest & ~cleared);
    }
    if (this.#aliases >= 0) {
      next[this.#aliases] = 0;
    }
    if (cleared === 0) {
      next[this.#control] = END;
    }
    stepper.done(this.#labels[LIST_ALIASES]!);
  }

  #beginAgain(s: Uint16Array, stepper: Stepper): void {
    const next = this.#go(stepper, s[this.#control]!, this.#first());
    next[this.#retired] = 0;
    next[this.#points] = 0;
    stepper.done(`${this.#options.title} G2 begins again: a point has gone`);
  }

  /** Objects are looked at one by one; what a pack has that is not cleared is compacted. */
  #remove(s: Uint16Array, stepper: Stepper): void {
    const world = this.#world;
    const todo = s[this.#todo]!;
    const control = s[this.#control]!;
    const targetField = world.objects[this.#target]?.field ?? -1;
    for (let index = 0; index < world.objects.length; index++) {
      const { field, pack } = world.objects[index]!;
      const names = s[field]!;
      if ((names & todo) === 0) {
        continue;
      }
      if ((names & ~todo) === 0) {
        const next = stepper.fork();
        next[field] = 0;
        stepper.done(this.#labels[REMOVE]!);
        return;
      }
      if (pack === this.#options.compacts && index !== this.#target && s[targetField] === 0) {
        const first = world.rules.writesBeforeRemoving ? COMPACT : REMOVE_COMPACTED;
        const next = this.#go(stepper, (control & ~0x3e0) | (index << 5), first);
        // What it will write is what it read.
        next[this.#points] = names & ~todo;
        stepper.done(`${this.#options.title} G3 reads what it compacts`);
        return;
      }
    }
    const next = stepper.fork();
    next[this.#control] = END;
    next[this.#todo] = 0;
    stepper.done(`${this.#options.title} G4`);
  }

  #compact(s: Uint16Array, stepper: Stepper): void {
    const { writesBeforeRemoving } = this.#world.rules;
    const next = this.#go(
      stepper,
      s[this.#control]!,
      writesBeforeRemoving ? REMOVE_COMPACTED : END,
    );
    next[this.#world.objects[this.#target]!.field] = s[this.#points]!;
    if (!writesBeforeRemoving) {
      this.#forget(next);
    }
    stepper.done(this.#labels[COMPACT]!);
  }

  #removeCompacted(s: Uint16Array, stepper: Stepper): void {
    const { objects, rules } = this.#world;
    const control = s[this.#control]!;
    const next = this.#go(stepper, control, rules.writesBeforeRemoving ? END : COMPACT);
    const read = (control >> 5) & 31;
    if (rules.exactKey) {
      next[objects[read]!.field] = 0;
    } else {
      for (const [index, { field, pack }] of objects.entries()) {
        if (pack === this.#options.compacts && index !== this.#target) {
          next[field] = 0;
        }
      }
    }
    if (rules.writesBeforeRemoving) {
      this.#forget(next);
    }
    stepper.done(this.#labels[REMOVE_COMPACTED]!);
  }

  /** At its end a collector remembers nothing, so that fewer states differ. */
  #forget(next: Uint16Array): void {
    next[this.#control] = END;
    next[this.#points] = 0;
    next[this.#todo] = 0;
  }

  #go(stepper: Stepper, control: number, step: number): Uint16Array {
    const next = stepper.fork();
    next[this.#control] = (control & ~31) | step;
    return next;
  }
}
