import type { Actor, Stepper, World } from './world.ts';

/** Where a writer is. */
const CHOOSE = 0;
const PUT_PACK = 1;
const PUT_ALIAS = 2;
const W1 = 3;
const LIST_CONDEMNED = 4;
const ASK_PARENT = 5;
const GIVE_UP = 6;
const PUT_SEAL = 7;
const LOOK_RETIRED = 8;
const END = 9;

export interface WriterOptions {
  readonly title: string;
  /**
   * `stores` deduplicates or uploads, `inherits` builds on a parent, `revives` brings a retired
   * point back.
   */
  readonly kind: 'stores' | 'inherits' | 'revives';
  /** The page of lists that shows its points. */
  readonly page?: number;
  /** Names with the content that it wants; its own are added. */
  readonly content?: number;
  /** Gives its own point up by a request, because it has no retention key. */
  readonly asks?: boolean;
  /** Writes an alias when it stores damaged content again. */
  readonly heals?: boolean;
  readonly asksParentFirst?: boolean;
  readonly attempts?: number;
}

interface Attempt {
  readonly point: number;
  readonly object: number;
  readonly name: number;
  readonly alias: number;
}

/**
 * W0 to W3. Its control word: step, attempt << 4, page << 6, parent gone << 7, parent + 1 << 8,
 * knew of damage << 12.
 */
export class Writer implements Actor {
  readonly #world: World;
  readonly #options: WriterOptions;
  readonly #attempts: Attempt[];
  readonly #control: number;
  /** Names that were not inherited. */
  readonly #own: number;
  readonly #inherited: number;
  readonly #seen: number;
  readonly #labels: readonly string[];

  constructor(world: World, options: WriterOptions) {
    this.#world = world;
    this.#options = options;
    this.#attempts = Array.from({ length: options.attempts ?? 2 }, () => {
      const name = world.name();
      return {
        name,
        object: world.object(100 + name),
        point: world.point(options.page ?? 0),
        alias: options.heals === true ? world.alias([{ from: 0, to: name }]) : -1,
      };
    });
    this.#control = world.field();
    this.#own = world.field();
    this.#inherited = world.field();
    this.#seen = world.field();
    const { title } = options;
    this.#labels = [
      '',
      'puts a pack',
      'puts an alias',
      'W1',
      'W2 lists gc/',
      'W2 asks for its parent',
      'gives its point up',
      'puts its seal',
      'looks at retire/',
    ].map((text) => `${title} ${text}`);
  }

  /** The first point it writes, to be named in a configuration. */
  get firstPoint(): number {
    return this.#attempts[0]?.point ?? 0;
  }

  steps(s: Uint16Array, stepper: Stepper): void {
    const control = s[this.#control]!;
    const step = control & 15;
    const attempt = this.#attempts[(control >> 4) & 3]!;
    switch (step) {
      case CHOOSE:
        this.#choose(s, stepper);
        return;
      case PUT_PACK:
        this.#putPack(s, stepper, attempt);
        return;
      case PUT_ALIAS: {
        const next = this.#go(stepper, control, W1);
        next[this.#world.aliasSet] = s[this.#world.aliasSet]! | (1 << attempt.alias);
        break;
      }
      case W1: {
        const asksFirst = this.#options.asksParentFirst === true;
        const next = this.#go(stepper, control, asksFirst ? ASK_PARENT : LIST_CONDEMNED);
        next[this.#world.points[attempt.point]!] = s[this.#own]! | s[this.#inherited]!;
        break;
      }
      case LIST_CONDEMNED:
        this.#listCondemned(s, stepper);
        break;
      case ASK_PARENT:
        this.#askParent(s, stepper);
        break;
      case GIVE_UP:
        this.#giveUp(s, stepper, attempt);
        break;
      case PUT_SEAL: {
        const next = this.#go(stepper, control, LOOK_RETIRED);
        next[this.#world.sealed] = s[this.#world.sealed]! | (1 << attempt.point);
        break;
      }
      case LOOK_RETIRED:
        this.#lookRetired(s, stepper, attempt);
        break;
      default:
        return;
    }
    stepper.done(this.#labels[step]!);
  }

  /** W0. Its index may be old, and may have any name that ever was. */
  #choose(s: Uint16Array, stepper: Stepper): void {
    const { title, kind, content = 1 } = this.#options;
    const world = this.#world;
    const condemned = world.condemned(s);
    const isBad = world.rules.damagedAreMisses && (s[world.damage]! & 2) !== 0;
    if (kind === 'stores') {
      const hits = s[world.ever]! & content & ~condemned & (isBad ? ~1 : ~0);
      for (let name = 0; hits >> name; name++) {
        if ((hits >> name) & 1) {
          const next = this.#go(stepper, (s[world.damage]! & 2) << 11, W1);
          next[this.#own] = 1 << name;
          stepper.done(`${title} W0 deduplicates with slot ${name}`);
        }
      }
    } else {
      const sealed = world.rules.parentIsSealed ? s[world.sealed]! : 0xffff;
      const retired = s[world.retired]!;
      const revives = kind === 'revives';
      const candidates =
        world.present(s) & (revives ? s[world.sealed]! & retired : sealed & ~retired);
      for (let point = 0; candidates >> point; point++) {
        if (!((candidates >> point) & 1)) {
          continue;
        }
        const refs = world.refs(s, point);
        if (revives && (refs & condemned) === 0) {
          const next = this.#go(stepper, 0, W1);
          next[this.#own] = refs;
          stepper.done(`${title} W0 revives point ${point}`);
        } else if (!revives) {
          const next = this.#go(stepper, (point + 1) << 8, W1);
          next[this.#inherited] = refs;
          stepper.done(`${title} W0 builds on point ${point}`);
        }
      }
    }
    if (kind !== 'revives') {
      this.#go(stepper, 0, PUT_PACK);
      stepper.done(`${title} W0 will upload`);
    }
  }

  #putPack(s: Uint16Array, stepper: Stepper, { object, name }: Attempt): void {
    const world = this.#world;
    const heals = this.#options.heals === true && (s[world.damage]! & 2) !== 0;
    const next = this.#go(stepper, s[this.#control]!, heals ? PUT_ALIAS : W1);
    next[world.objects[object]!.field] = 1 << name;
    next[world.ever] = s[world.ever]! | (1 << name);
    next[this.#own] = 1 << name;
    stepper.done(this.#labels[PUT_PACK]!);
  }

  #listCondemned(s: Uint16Array, stepper: Stepper): void {
    const control = s[this.#control]!;
    const page = (control >> 6) & 1;
    const seen = s[this.#seen]! | this.#world.condemned(s, page);
    if (page + 1 < this.#world.pages) {
      const next = this.#go(stepper, control, LIST_CONDEMNED);
      next[this.#control] = next[this.#control]! | (1 << 6);
      next[this.#seen] = seen;
      return;
    }
    const hasParent = ((control >> 8) & 15) !== 0;
    const asksNow = hasParent && this.#options.asksParentFirst !== true;
    if (asksNow) {
      const next = this.#go(stepper, control, ASK_PARENT);
      next[this.#seen] = seen;
      return;
    }
    this.#decide(s, stepper, seen, ((control >> 7) & 1) === 1);
  }

  #askParent(s: Uint16Array, stepper: Stepper): void {
    const world = this.#world;
    const control = s[this.#control]!;
    const parent = ((control >> 8) & 15) - 1;
    const isGone =
      parent >= 0 &&
      ((s[world.retired]! >> parent) & 1 ||
        (world.rules.absentIsRetired && world.refs(s, parent) === 0))
        ? 1
        : 0;
    if (this.#options.asksParentFirst === true) {
      this.#go(stepper, control | (isGone << 7), LIST_CONDEMNED);
    } else {
      this.#decide(s, stepper, s[this.#seen]!, isGone === 1);
    }
  }

  #decide(s: Uint16Array, stepper: Stepper, seen: number, parentGone: boolean): void {
    const { rules } = this.#world;
    const own = s[this.#own]!;
    const inherited = s[this.#inherited]!;
    const conflict =
      (rules.writerChecksCondemned && (own & seen) !== 0) ||
      (rules.writerChecksParent && parentGone && (inherited & seen) !== 0);
    const next = this.#go(stepper, s[this.#control]!, conflict ? GIVE_UP : PUT_SEAL);
    next[this.#seen] = 0;
  }

  #giveUp(s: Uint16Array, stepper: Stepper, { point }: Attempt): void {
    const world = this.#world;
    const attempt = ((s[this.#control]! >> 4) & 3) + 1;
    const goesOn = attempt < this.#attempts.length && this.#options.kind !== 'revives';
    const next = this.#go(stepper, goesOn ? attempt << 4 : 0, goesOn ? PUT_PACK : END);
    next[this.#own] = 0;
    next[this.#inherited] = 0;
    const field = this.#options.asks === true ? world.asked : world.retired;
    next[field] = s[field]! | (1 << point);
  }

  #lookRetired(s: Uint16Array, stepper: Stepper, { point, alias }: Attempt): void {
    const world = this.#world;
    const bit = 1 << point;
    const isRetired = world.rules.retiredWins && (s[world.retired]! & bit) !== 0;
    const isAsked = world.rules.writerLooksForRequests && (s[world.asked]! & bit) !== 0;
    const next = this.#go(stepper, 0, END);
    next[this.#own] = 0;
    next[this.#inherited] = 0;
    if (!isRetired && !isAsked) {
      next[world.success] = s[world.success]! | bit;
      if ((s[world.retired]! & bit) !== 0) {
        next[world.wrong] = 1;
      }
      const knewDamage = s[this.#control]! >> 12 !== 0;
      if (knewDamage && (s[this.#own]! & 1) !== 0) {
        next[world.wrong] = 2;
      }
      if (alias >= 0 && (s[world.aliasSet]! >> alias) & 1) {
        next[world.damage] = s[world.damage]! | 4;
      }
    }
  }

  #go(stepper: Stepper, control: number, step: number): Uint16Array {
    const next = stepper.fork();
    // The page begins again; what the parent's answer was matters until the list is read.
    const kept = step === LIST_CONDEMNED ? 0xffb0 : 0xff30;
    next[this.#control] = (control & kept) | step;
    return next;
  }
}
