import type { Actor, Alias, Stepper, World } from './world.ts';

/** Merges packs into a new one under aliases, and removes them by their exact keys. */
export class Merger implements Actor {
  readonly #world: World;
  readonly #title: string;
  readonly #sources: readonly number[];
  readonly #pairs: readonly Alias[];
  readonly #target: number;
  readonly #alias: number;
  /** Step, page << 4, per source 5 bits of object + 1 from bit 5. */
  readonly #control: number;
  /** Names that it writes; from the list on those that it found condemned. */
  readonly #names: number;
  readonly #order: readonly string[];

  /** @param sources logical packs, at most two, with their names */
  constructor(
    world: World,
    title: string,
    sources: readonly { pack: number; names: readonly number[] }[],
  ) {
    this.#world = world;
    this.#title = title;
    this.#sources = sources.map(({ pack }) => pack);
    this.#pairs = sources.flatMap(({ names }) => names.map((from) => ({ from, to: world.name() })));
    this.#target = world.object(200 + (this.#pairs[0]?.to ?? 0));
    this.#alias = world.alias(this.#pairs);
    this.#control = world.field();
    this.#names = world.field();
    this.#order = mergeOrder(world);
  }

  /** Mask of the names that the new pack has. */
  get targets(): number {
    return this.#pairs.reduce((mask, { to }) => mask | (1 << to), 0);
  }

  steps(s: Uint16Array, stepper: Stepper): void {
    const control = s[this.#control]!;
    const step = this.#order[control & 15];
    const world = this.#world;
    const next = stepper.fork();
    switch (step) {
      case 'reads':
        this.#read(s, stepper);
        return;
      case 'puts the pack': {
        next[world.objects[this.#target]!.field] = s[this.#names]!;
        next[world.ever] = s[world.ever]! | s[this.#names]!;
        break;
      }
      case 'puts the alias':
        next[world.aliasSet] = s[world.aliasSet]! | (1 << this.#alias);
        break;
      case 'lists gc/': {
        const page = (control >> 4) & 1;
        if ((world.condemned(s, page) & s[this.#names]!) !== 0 && world.rules.aliasChecked) {
          next[this.#control] = 15;
          next[this.#names] = 0;
          stepper.done(`${this.#title} finds its target condemned`);
          return;
        }
        if (page + 1 < world.pages) {
          next[this.#control] = control | (1 << 4);
          stepper.done(`${this.#title} lists gc/`);
          return;
        }
        break;
      }
      case 'removes the first':
      case 'removes the second': {
        const shift = step === 'removes the first' ? 5 : 10;
        const object = ((control >> shift) & 31) - 1;
        if (object >= 0) {
          next[world.objects[object]!.field] = 0;
        }
        break;
      }
      case undefined:
      default:
        return;
    }
    const isLast = (control & 15) + 1 >= this.#order.length;
    next[this.#control] = isLast ? 15 : (control & ~31) | ((control & 15) + 1);
    if (isLast) {
      next[this.#names] = 0;
    }
    stepper.done(`${this.#title} ${step}`);
  }

  #read(s: Uint16Array, stepper: Stepper): void {
    const world = this.#world;
    const points = world.present(s) & ~s[world.retired]!;
    const live = world.spread(world.live(s, points), s[world.aliasSet]!);
    let control = 1;
    let targets = 0;
    for (const [index, pack] of this.#sources.entries()) {
      const object = world.objects.findIndex(
        (other) => other.pack === pack && s[other.field] !== 0,
      );
      if (object < 0) {
        return;
      }
      const names = s[world.objects[object]!.field]!;
      const damaged = s[world.damage]! & 1;
      if ((names & damaged) !== 0) {
        return;
      }
      const copied = world.rules.mergeCopiesAll ? names : names & live;
      for (const { from, to } of this.#pairs) {
        targets |= (copied >> from) & 1 ? 1 << to : 0;
      }
      control |= (object + 1) << (5 + 5 * index);
    }
    if (targets === 0) {
      return;
    }
    const next = stepper.fork();
    next[this.#control] = control;
    next[this.#names] = targets;
    stepper.done(`${this.#title} reads`);
  }
}

function mergeOrder({ rules }: World): readonly string[] {
  const removal = ['removes the first', 'removes the second'];
  const puts = rules.targetBeforeAlias
    ? ['puts the pack', 'puts the alias']
    : ['puts the alias', 'lists gc/', ...removal, 'puts the pack'];
  if (!rules.targetBeforeAlias) {
    return ['reads', ...puts];
  }
  return rules.aliasBeforeRemoving
    ? ['reads', ...puts, 'lists gc/', ...removal]
    : ['reads', 'puts the pack', ...removal, 'puts the alias'];
}

/** Removes a generation for another one that holds all its slots. */
export class Sweeper implements Actor {
  readonly #world: World;
  readonly #title: string;
  readonly #pack: number;
  readonly #control: number;

  constructor(world: World, title: string, pack: number) {
    this.#world = world;
    this.#title = title;
    this.#pack = pack;
    this.#control = world.field();
  }

  steps(s: Uint16Array, stepper: Stepper): void {
    const { objects, rules } = this.#world;
    const control = s[this.#control]!;
    if (control !== 0) {
      if (control === 255) {
        return;
      }
      const next = stepper.fork();
      next[objects[control - 1]!.field] = 0;
      next[this.#control] = 255;
      stepper.done(`${this.#title} removes a generation`);
      return;
    }
    for (const [index, { field, pack }] of objects.entries()) {
      const names = s[field]!;
      const isSuperfluous = objects.some(
        (other, at) =>
          other.pack === pack &&
          at !== index &&
          names !== 0 &&
          (names & ~s[other.field]!) === 0 &&
          (!rules.generationsOrdered || at > index),
      );
      if (pack === this.#pack && isSuperfluous) {
        const next = stepper.fork();
        next[this.#control] = index + 1;
        stepper.done(`${this.#title} finds a superfluous generation`);
      }
    }
  }
}

/** Asks, without the retention key, that a point without a seal be retired. */
export class Asker implements Actor {
  readonly #world: World;
  readonly #control: number;

  constructor(world: World) {
    this.#world = world;
    this.#control = world.field();
  }

  steps(s: Uint16Array, stepper: Stepper): void {
    const world = this.#world;
    const control = s[this.#control]!;
    if (control === 0) {
      const unsealed = world.present(s) & ~s[world.sealed]!;
      for (let point = 0; unsealed >> point; point++) {
        if ((unsealed >> point) & 1) {
          const next = stepper.fork();
          next[this.#control] = point + 1;
          stepper.done(`another run finds no seal of point ${point}`);
        }
      }
    } else if (control !== 255) {
      const next = stepper.fork();
      next[this.#control] = 255;
      next[world.asked] = s[world.asked]! | (1 << (control - 1));
      stepper.done('another run asks that it be retired');
    }
  }
}

/** Makes requests binding, with the retention key. */
export class Binder implements Actor {
  readonly #world: World;
  /** 0 nothing, point + 1: saw the request, | 16: and no seal; 255: done. */
  readonly #control: number;

  constructor(world: World) {
    this.#world = world;
    this.#control = world.field();
  }

  steps(s: Uint16Array, stepper: Stepper): void {
    const world = this.#world;
    const { requestNeedsUnsealed, requestSeenBeforeSealAsked } = world.rules;
    const control = s[this.#control]!;
    const sealed = s[world.sealed]!;
    const asked = s[world.asked]!;
    if (control === 0) {
      const seen = requestSeenBeforeSealAsked ? asked : world.present(s) & ~sealed;
      for (let point = 0; seen >> point; point++) {
        if ((seen >> point) & 1) {
          const next = stepper.fork();
          next[this.#control] = point + 1;
          stepper.done(requestSeenBeforeSealAsked ? 'sees a request' : 'sees no seal');
        }
      }
      return;
    }
    if (control === 255) {
      return;
    }
    const point = (control & 15) - 1;
    const bit = 1 << point;
    const next = stepper.fork();
    if ((control & 16) === 0) {
      const goesOn = requestSeenBeforeSealAsked
        ? !requestNeedsUnsealed || (sealed & bit) === 0
        : (asked & bit) !== 0;
      if (goesOn) {
        next[this.#control] = control | 16;
        stepper.done(requestSeenBeforeSealAsked ? 'sees no seal' : 'sees a request');
      }
      return;
    }
    next[this.#control] = 255;
    next[world.retired] = s[world.retired]! | bit;
    if ((s[world.success]! & bit) !== 0) {
      next[world.wrong] = 1;
    }
    stepper.done('makes the request binding');
  }
}

/** Holds a point, and ends the hold. */
export class Holder implements Actor {
  readonly #world: World;
  readonly #point: number;
  readonly #control: number;

  constructor(world: World, point: number) {
    this.#world = world;
    this.#point = point;
    this.#control = world.field();
  }

  steps(s: Uint16Array, stepper: Stepper): void {
    const world = this.#world;
    const bit = 1 << this.#point;
    const step = s[this.#control]!;
    const next = stepper.fork();
    if (step === 0 && s[world.sealed]! & bit) {
      next[this.#control] = 1;
      next[world.holds] = s[world.holds]! | bit;
      stepper.done('puts a hold');
    } else if (step === 1) {
      const isRetired = (s[world.retired]! & bit) !== 0 || world.refs(s, this.#point) === 0;
      const isRefused = world.rules.holdChecksRetired && isRetired;
      next[this.#control] = isRefused ? 3 : 2;
      if (!isRefused) {
        next[world.held] = s[world.held]! | bit;
      }
      stepper.done(isRefused ? 'the hold is refused' : 'the hold is reported');
    } else if (step === 2) {
      next[this.#control] = 3;
      next[world.holds] = s[world.holds]! & ~bit;
      next[world.held] = s[world.held]! & ~bit;
      stepper.done('ends the hold');
    }
  }
}

/** Removes manifests when their collection has ended. */
export class ManifestRemover implements Actor {
  readonly #world: World;
  readonly #control: number;

  constructor(world: World) {
    this.#world = world;
    this.#control = world.field();
  }

  steps(s: Uint16Array, stepper: Stepper): void {
    if (this.#world.rules.condemnedPermanent || s[this.#control] !== 0) {
      return;
    }
    for (const [index, field] of this.#world.manifests.entries()) {
      if (s[field] !== 0) {
        const next = stepper.fork();
        next[field] = 0;
        next[this.#control] = 1;
        stepper.done(`the manifest ${index} is removed`);
      }
    }
  }
}
