import { Collector } from './collector.ts';
import { Asker, Binder, Holder, ManifestRemover, Merger, Sweeper } from './others.ts';
import type { Rules } from './rules.ts';
import { World, type WorldOptions } from './world.ts';
import { Writer, type WriterOptions } from './writer.ts';

export interface Configuration {
  /** Which interaction it covers. */
  readonly about: string;
  build(rules?: Rules): World;
}

function worldOf(options: WorldOptions, rules: Rules | undefined): World {
  return new World({ ...options, ...(rules === undefined ? {} : { rules }) });
}

/** A writer whose points a user may retire. */
function addWriter(world: World, options: WriterOptions): Writer {
  const writer = new Writer(world, options);
  world.add(writer);
  world.retirable |= 1 << writer.firstPoint;
  return writer;
}

/** One pack with one slot, and a sealed point that needs it. */
function onePoint(options: WorldOptions, rules: Rules | undefined): World {
  const world = worldOf(options, rules);
  const slot = world.name();
  world.object(0, 1 << slot);
  world.point(0, 1 << slot);
  return world;
}

const commit =
  (options: WorldOptions, asksParentFirst = false) =>
  (rules?: Rules) => {
    const world = onePoint(options, rules);
    const attempts =
      options.forgets === undefined && options.paged !== true && !asksParentFirst ? 2 : 1;
    addWriter(world, { title: 'A', kind: 'stores', page: 1, attempts });
    world.add(
      new Writer(world, { title: 'B', kind: 'inherits', page: 0, asksParentFirst, attempts }),
    );
    world.add(new Collector(world, { title: 'x' }));
    if (options.forgets !== 'all') {
      world.add(new Collector(world, { title: 'zombie', adopts: true }));
    }
    world.add(new ManifestRemover(world));
    return world;
  };

/** Two packs of one slot each, and a point for each. */
function twoPoints(options: WorldOptions, rules: Rules | undefined): World {
  const world = worldOf(options, rules);
  for (const pack of [0, 1]) {
    const slot = world.name();
    world.object(pack, 1 << slot);
    world.point(pack, 1 << slot);
  }
  return world;
}

const MERGED = [
  { pack: 0, names: [0] },
  { pack: 1, names: [1] },
];

/** Configurations that end within seconds; each covers one interaction. */
export const CONFIGURATIONS = {
  commit: {
    about: 'a writer that deduplicates, one that inherits, a collector and a zombie',
    build: commit({}),
  },
  forget: {
    about: 'the same, each writing once; retired points disappear',
    build: commit({ forgets: 'points' }),
  },
  'forget-all': {
    about: 'they disappear with their retire objects: what is absent counts as retired',
    build: commit({ forgets: 'all' }),
  },
  'parent-first': {
    about: 'the same, the parent being asked for before gc/ is listed',
    build: commit({}, true),
  },
  paged: {
    about: 'the same with lists in pages and puts between the pages',
    build: commit({ paged: true }),
  },
  'any-marks': {
    about: 'a collector that condemns anything, live or not',
    build: (rules) => {
      const world = onePoint({}, rules);
      addWriter(world, { title: 'A', kind: 'stores' });
      world.add(new Writer(world, { title: 'B', kind: 'inherits' }));
      world.add(new Collector(world, { title: 'x', marksAnything: true }));
      return world;
    },
  },
  revive: {
    about: 'a retired point comes back while writers and collectors run',
    build: (rules) => {
      const world = onePoint({ paged: true }, rules);
      addWriter(world, { title: 'A', kind: 'stores', page: 1 });
      world.add(new Writer(world, { title: 'R', kind: 'revives', attempts: 1 }));
      world.add(new Collector(world, { title: 'x' }));
      world.add(new Collector(world, { title: 'zombie', adopts: true }));
      return world;
    },
  },
  generations: {
    about: 'two collectors compact the same pack, two more remove superfluous generations',
    build: (rules) => {
      const world = worldOf({}, rules);
      const [first, second] = [world.name(), world.name()];
      world.object(0, (1 << first) | (1 << second));
      world.point(0, 1 << first);
      world.point(0, 1 << second);
      world.add(new Collector(world, { title: 'x', compacts: 0 }));
      world.add(new Collector(world, { title: 'y', compacts: 0 }));
      world.add(new Sweeper(world, 'v', 0));
      world.add(new Sweeper(world, 'w', 0));
      addWriter(world, { title: 'A', kind: 'stores', content: 1, attempts: 1 });
      return world;
    },
  },
  merge: {
    about: 'a merge of two packs, a collector, a writer that knows all names, one that inherits',
    build: (rules) => merging(rules, false),
  },
  merged: {
    about: 'after a merge: the old pack is gone, points and indexes still name its slot',
    build: (rules) => {
      const world = worldOf({}, rules);
      const from = world.formerName();
      const to = world.name();
      world.object(200, 1 << to);
      world.formerAlias([{ from, to }]);
      world.point(0, 1 << from);
      addWriter(world, { title: 'A', kind: 'stores', content: 3 });
      world.add(new Writer(world, { title: 'B', kind: 'inherits', attempts: 1 }));
      world.add(new Collector(world, { title: 'x' }));
      return world;
    },
  },
  'two-merges': {
    about: 'two merges of the same packs and a collector, lists in pages',
    build: (rules) => {
      const world = twoPoints({ paged: true }, rules);
      world.add(new Merger(world, 'merge 1', MERGED));
      world.add(new Merger(world, 'merge 2', MERGED));
      world.add(new Collector(world, { title: 'x' }));
      addWriter(world, { title: 'A', kind: 'stores', content: 1, attempts: 1 });
      return world;
    },
  },
  'merge-and-compact': {
    about: 'a merge reads what a collector compacts',
    build: (rules) => {
      const world = worldOf({}, rules);
      const [first, second] = [world.name(), world.name()];
      world.object(0, (1 << first) | (1 << second));
      world.point(0, 1 << first);
      world.point(0, 1 << second);
      const merger = new Merger(world, 'merge', [{ pack: 0, names: [first, second] }]);
      world.add(merger);
      world.add(new Collector(world, { title: 'x', compacts: 0 }));
      world.add(new Collector(world, { title: 'zombie', adopts: true, compacts: 0 }));
      addWriter(world, { title: 'A', kind: 'stores', content: 1, attempts: 1 });
      return world;
    },
  },
  damage: {
    about: 'a slot is damaged and stored anew under an alias; older points heal and stay',
    build: (rules) => {
      const world = onePoint({ damages: true }, rules);
      addWriter(world, { title: 'A', kind: 'stores', heals: true });
      world.add(new Writer(world, { title: 'B', kind: 'inherits', attempts: 1 }));
      world.add(new Collector(world, { title: 'x' }));
      return world;
    },
  },
  requests: {
    about: 'writers without the retention key ask; who has it makes requests binding',
    build: (rules) => {
      const world = onePoint({}, rules);
      addWriter(world, { title: 'A', kind: 'stores', asks: true });
      world.add(new Asker(world));
      world.add(new Binder(world));
      world.add(new Binder(world));
      world.add(new Collector(world, { title: 'x' }));
      return world;
    },
  },
  holds: {
    about: 'a point is held, retired and collected at once',
    build: (rules) => {
      const world = onePoint({ forgets: 'points', paged: true }, rules);
      const { firstPoint } = addWriter(world, { title: 'A', kind: 'stores', attempts: 1 });
      world.add(new Holder(world, firstPoint));
      world.add(new Collector(world, { title: 'x' }));
      world.add(new Collector(world, { title: 'zombie', adopts: true }));
      return world;
    },
  },
} as const satisfies Record<string, Configuration>;

export type ConfigurationName = keyof typeof CONFIGURATIONS;

/** For the soak: what is too large for every day, and still ends. */
export const LARGE = {
  'generations-and-zombie': {
    about: 'two compacting collectors, a zombie, a sweeper, a writer',
    build: (rules) => compacted(rules, ['zombie']),
  },
  'generations-and-writers': {
    about: 'two compacting collectors, a sweeper, a writer that deduplicates, one that inherits',
    build: (rules) => compacted(rules, ['inherits']),
  },
  'generations-and-all': {
    about: 'two compacting collectors, a zombie, a sweeper, both kinds of writers',
    build: (rules) => compacted(rules, ['zombie', 'inherits']),
  },
  'two-healers': {
    about: 'damage that two writers heal, a collector and a zombie',
    build: (rules) => {
      const world = onePoint({ damages: true }, rules);
      addWriter(world, { title: 'A', kind: 'stores', heals: true, attempts: 1 });
      world.add(new Writer(world, { title: 'C', kind: 'stores', heals: true, attempts: 1 }));
      world.add(new Collector(world, { title: 'x' }));
      world.add(new Collector(world, { title: 'zombie', adopts: true }));
      return world;
    },
  },
  'two-collectors': {
    about: 'two collectors and a zombie, a writer that deduplicates, one that inherits',
    build: (rules) => {
      const world = onePoint({}, rules);
      addWriter(world, { title: 'A', kind: 'stores', page: 1, attempts: 1 });
      world.add(new Writer(world, { title: 'B', kind: 'inherits', page: 0, attempts: 1 }));
      world.add(new Collector(world, { title: 'x' }));
      world.add(new Collector(world, { title: 'y' }));
      world.add(new Collector(world, { title: 'zombie', adopts: true }));
      return world;
    },
  },
  'merge-and-zombie': {
    about: 'a merge of two packs, a collector and a zombie, both kinds of writers',
    build: (rules) => merging(rules, true),
  },
  'two-merges-and-writers': {
    about: 'two merges of the same packs, a collector, both kinds of writers',
    build: (rules) => {
      const world = twoPoints({}, rules);
      world.add(new Merger(world, 'merge 1', MERGED));
      world.add(new Merger(world, 'merge 2', MERGED));
      world.add(new Collector(world, { title: 'x' }));
      addWriter(world, { title: 'A', kind: 'stores', content: 1, attempts: 1 });
      world.add(new Writer(world, { title: 'B', kind: 'inherits', attempts: 1 }));
      return world;
    },
  },
} as const satisfies Record<string, Configuration>;

/** A merge, a collector, perhaps a zombie, and both kinds of writers. */
function merging(rules: Rules | undefined, withZombie: boolean): World {
  const world = twoPoints({}, rules);
  const merger = new Merger(world, 'merge', MERGED);
  world.add(merger);
  world.add(new Collector(world, { title: 'x' }));
  if (withZombie) {
    world.add(new Collector(world, { title: 'zombie', adopts: true }));
  }
  // The first pack's content, under its old and its new name.
  const content = 1 | (merger.targets & -merger.targets);
  addWriter(world, { title: 'A', kind: 'stores', content, attempts: 1 });
  world.add(new Writer(world, { title: 'B', kind: 'inherits', attempts: 1 }));
  return world;
}

/**
 * A pack of two slots that two collectors compact, with one that removes generations, a writer, and
 * others.
 */
function compacted(rules: Rules | undefined, others: readonly ('zombie' | 'inherits')[]): World {
  const world = worldOf({}, rules);
  const [first, second] = [world.name(), world.name()];
  world.object(0, (1 << first) | (1 << second));
  world.point(0, 1 << first);
  world.point(0, 1 << second);
  world.add(new Collector(world, { title: 'x', compacts: 0 }));
  world.add(new Collector(world, { title: 'y', compacts: 0 }));
  if (others.includes('zombie')) {
    world.add(new Collector(world, { title: 'zombie', adopts: true, compacts: 0 }));
  }
  world.add(new Sweeper(world, 'v', 0));
  addWriter(world, { title: 'A', kind: 'stores', content: 1, attempts: 1 });
  if (others.includes('inherits')) {
    world.add(new Writer(world, { title: 'B', kind: 'inherits', attempts: 1 }));
  }
  return world;
}
