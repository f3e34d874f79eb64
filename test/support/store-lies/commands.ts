import assert from 'node:assert/strict';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { collectVault } from '../../../src/vault/collect/collector.ts';
import { Holds } from '../../../src/vault/points/holds.ts';
import { revivePoint } from '../../../src/vault/retention/reviving.ts';
import { CopyPruning } from '../../../src/vault/copy/copy-prune.ts';
import { VaultCopy } from '../../../src/vault/copy/vault-copy.ts';
import { VaultKeys } from '../../../src/vault/access/vault-keys.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { MemoryProofLedger } from '../../../src/vault/checks/proof-ledger.ts';
import { scrubVault } from '../../../src/vault/checks/scrub-vault.ts';
import type { CreateOptions } from '../../../src/vault/access/vault-options.ts';
import { repairVault } from '../../../src/vault/repair/repair.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  PASSPHRASE,
  restored,
  signal,
  VM,
} from '../vault/vault-lab.ts';

const clock = new SystemClock();
const KDF = { memoryKib: 64, passes: 1, lanes: 1 };
const SIZE = 600_000;
const NEW = 'the passphrase of tomorrow';
/** Everything that can be tidied is. */
const ALL = { youngMs: -60_000, mergeCount: 3, smallPackBytes: 100_000, liveShare: 0.95 };

/** Both places of a world, as somebody sees them. */
export interface Places {
  readonly vault: ObjectStore;
  readonly copy: ObjectStore;
}

/** A vault and a copy of it, and what its points were when they were taken. */
export interface World extends Places {
  /** What a command works on: disk, points. */
  readonly disk: MemoryDisk;
  readonly points: readonly string[];
  readonly retired: string;
}

/** Something that writes or removes. */
export interface Command {
  /** @returns a function that checks in the true places that what was reported as done is done */
  readonly run: (world: World, places: Places) => Promise<(truth: Places) => Promise<void>>;
  /** Points that it gives up. */
  readonly givesUp?: (world: World) => readonly string[];
  readonly opensWith?: string;
}

const nothingToProve = async (): Promise<void> => undefined;

/** Four points, one of which was given up and not collected, and a copy from before that. */
export async function newWorld(
  { vault, copy }: Places,
  options: Partial<CreateOptions> = {},
): Promise<World> {
  const { vault: opened } = await createVault(vault, options);
  const disk = new MemoryDisk(SIZE);
  const points: string[] = [];
  for (let i = 0; i < 4; i++) {
    disk.write(i * 60_000, seededBytes(`round ${i}`, 200_000));
    points.push((await backUp(opened, disk)).id);
  }
  await new VaultCopy({ source: vault, target: copy, clock }).run({ signal });
  const [retired = ''] = points;
  await opened.retire(retired, signal);
  await opened.close();
  return { vault, copy, disk, points, retired };
}

async function changedDisk(world: World): Promise<MemoryDisk> {
  const disk = new MemoryDisk(SIZE);
  const vault = await openVault(world.vault);
  await vault.restoreDisk({ pointId: world.points[3] ?? '', diskId: 'disk-1' }, disk.writer(), {
    signal,
  });
  await vault.close();
  disk.write(300_000, seededBytes('later', 200_000));
  return disk;
}

const backup: Command = {
  run: async (world, { vault: store }) => {
    const disk = await changedDisk(world);
    const vault = await openVault(store);
    const { id } = await backUp(vault, disk);
    await vault.close();
    return async (truth) => {
      const now = await openVault(truth.vault);
      const back = await restored(now, { id }, SIZE);
      assert.equal(await fingerprint(back.reader()), await fingerprint(disk.reader()));
      await now.close();
    };
  },
};

const retire: Command = {
  givesUp: ({ points }) => points.slice(1, 2),
  run: async ({ points }, { vault: store }) => {
    const vault = await openVault(store);
    await vault.retire(points[1] ?? '', signal);
    await vault.close();
    return async (truth) => {
      const now = await openVault(truth.vault);
      const ids = (await now.points(signal)).map(({ id }) => id);
      assert(!ids.includes(points[1] ?? ''), 'a point that was given up stands');
    };
  },
};

const hold: Command = {
  run: async ({ points: ids }, { vault: store }) => {
    const { inside } = await openVault(store);
    const name = { vmId: VM.vmId, id: ids[1] ?? '' };
    const why = { reason: 'kept', atMs: 1 };
    await new Holds(inside.base, inside.log).hold(inside.points, name, why, signal);
    return async (truth) => {
      const now = await openVault(truth.vault);
      const holds = await new Holds(now.inside.base, now.inside.log).list(signal);
      assert.deepEqual([...holds.map(({ id }) => id)], [name.id]);
    };
  },
};

const revive: Command = {
  run: async ({ retired }, { vault: store }) => {
    const { inside } = await openVault(store);
    const point = await revivePoint(inside, { vmId: VM.vmId, id: retired }, {}, { signal });
    return async (truth) => {
      const now = await openVault(truth.vault);
      assert((await now.verify(point.id, 3, { signal })).ok, 'a revived point is not whole');
    };
  },
};

const prune: Command = {
  run: async (_world, { vault: store }) => {
    const vault = await openVault(store);
    const report = await collectVault(vault.inside, ALL, { signal });
    await vault.close();
    return async (truth) => {
      // Condemned and carried-out objects are not looked at again.
      const now = await openVault(truth.vault);
      const again = await collectVault(now.inside, ALL, { signal });
      assert.equal(again.refusedRemovals, 0);
      assert(report.removedBytes >= 0);
    };
  },
};

const scrub: Command = {
  run: async (_world, { vault: store }) => {
    const vault = await openVault(store);
    const options = { ledger: new MemoryProofLedger(), budget: {} };
    await scrubVault(vault.inside, options, { signal });
    await vault.close();
    return nothingToProve;
  },
};

const repair: Command = {
  run: async (_world, { vault: store, copy }) => {
    const vault = await openVault(store);
    await repairVault(vault.inside, { copy, dryRun: false, overwrite: true }, { signal });
    await vault.close();
    return nothingToProve;
  },
};

const copy: Command = {
  run: async ({ points }, { vault: source, copy: target }) => {
    const report = await new VaultCopy({ source, target, clock }).run({ signal });
    return async (truth) => {
      const now = await openVault(truth.copy);
      const ids = (await now.points(signal)).map(({ id }) => id);
      assert(ids.length >= points.length - 1, `the copy has ${ids.length} points`);
      assert(report.points > 0, 'a copy of no points was reported as done');
    };
  },
};

const copyPrune: Command = {
  run: async (_world, { vault: source, copy: target }) => {
    const vault = await openVault(target);
    const pruning = new CopyPruning(source, vault.inside, { signal });
    await pruning.run(await pruning.plan());
    await vault.close();
    return nothingToProve;
  },
};

async function keysOf(store: ObjectStore): Promise<VaultKeys> {
  const unlocks = { vault: { kind: 'passphrase', passphrase: PASSPHRASE } } as const;
  return VaultKeys.open(store, unlocks, { clock, kdf: KDF }, signal);
}

async function opensWith(store: ObjectStore, passphrase: string): Promise<void> {
  const { Vault } = await import('../../../src/vault/vault.ts');
  const vault = await Vault.open(store, { kind: 'passphrase', passphrase }, { workers: 0 }, signal);
  await vault.close();
}

const keysAdd: Command = {
  run: async (_world, { vault: store }) => {
    const keys = await keysOf(store);
    await keys.addPassphrase({ passphrase: NEW, label: 'second' }, 'vault', signal);
    return async (truth) => opensWith(truth.vault, NEW);
  },
};

const keysChange: Command = {
  opensWith: NEW,
  run: async (_world, { vault: store }) => {
    await (await keysOf(store)).changePassphrase(NEW, signal);
    return async (truth) => opensWith(truth.vault, NEW);
  },
};

const keysRotate: Command = {
  opensWith: NEW,
  run: async (_world, { vault: store }) => {
    const keys = await keysOf(store);
    await keys.rotate([{ passphrase: NEW, label: '' }], async (file) => file, signal);
    return async (truth) => opensWith(truth.vault, NEW);
  },
};

const verify: Command = {
  run: async ({ points: ids }, { vault: store }) => {
    const vault = await openVault(store);
    for (const id of ids.slice(1)) {
      await vault.verify(id, 3, { signal });
    }
    await vault.close();
    return nothingToProve;
  },
};

export const COMMANDS: Readonly<Record<string, Command>> = {
  backup,
  retire,
  hold,
  revive,
  prune,
  scrub,
  repair,
  copy,
  'copy-prune': copyPrune,
  'keys-add': keysAdd,
  'keys-change': keysChange,
  'keys-rotate': keysRotate,
  verify,
};
