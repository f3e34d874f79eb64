import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { Clock } from '../../src/kernel/clock.ts';
import { Log, type LogFields } from '../../src/kernel/log.ts';
import type { ObjectStore } from '../../src/vault/store/object-store.ts';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { Vault } from '../../src/vault/vault.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import { SimulatedBucket } from '../support/simulated-store/bucket.ts';

const { signal } = new AbortController();

const SECTOR = 4096;
const DISK_SECTORS = 12;
export const DISKS = 2;
/** Few different sectors, so that VMs share many. */
const CONTENTS = 9;

const sectors = Array.from({ length: CONTENTS }, (_, index) =>
  seededBytes(`sector ${String(index)}`, SECTOR),
);

/** Which content lies in each sector of each disk; 0 is zeroes. */
export type Image = readonly (readonly number[])[];

export function blankImage(): number[][] {
  return Array.from({ length: DISKS }, () => Array.from({ length: DISK_SECTORS }, () => 0));
}

export function drawContent(random: (limit: number) => number): number {
  return random(CONTENTS + 1);
}

export function diskOf(contents: readonly number[]): MemoryDisk {
  const disk = new MemoryDisk(DISK_SECTORS * SECTOR);
  for (const [index, content] of contents.entries()) {
    const bytes = sectors[content - 1];
    if (bytes !== undefined) {
      disk.write(index * SECTOR, bytes);
    }
  }
  return disk;
}

/** The sectors that differ, as a change set tells them. */
export function changesBetween(
  before: readonly number[],
  after: readonly number[],
): { offset: number; length: number; content: 'data' }[] {
  return after.flatMap((content, index) =>
    content === before[index]
      ? []
      : [{ offset: index * SECTOR, length: SECTOR, content: 'data' as const }],
  );
}

/** The first sector in which a disk is not what it should be. */
export function firstDifference(disk: MemoryDisk, contents: readonly number[]): number | undefined {
  const expected = diskOf(contents).toBytes();
  const actual = disk.toBytes();
  for (let at = 0; at < expected.length; at += SECTOR) {
    if (
      Buffer.compare(expected.subarray(at, at + SECTOR), actual.subarray(at, at + SECTOR)) !== 0
    ) {
      return at / SECTOR;
    }
  }
  return undefined;
}

/** Moves by one millisecond per look, from wherever this machine believes to be. */
export class SkewedClock extends Clock {
  #nowMs: number;

  constructor(nowMs: number) {
    super();
    this.#nowMs = nowMs;
  }

  override nowMs(): number {
    this.#nowMs += 1;
    return this.#nowMs;
  }

  override monotonicMs(): number {
    return this.nowMs();
  }
}

export const START_MS = Date.UTC(2026, 0, 15);

export interface PreparedVault {
  readonly bucket: SimulatedBucket;
  readonly key: Uint8Array;
}

/** A vault with tiny packs, as it is right after its creation. */
export async function prepareVault(): Promise<PreparedVault> {
  const store = new MemoryObjectStore();
  const { vault } = await Vault.create(
    store,
    {
      name: 'torture',
      passphrase: 'a passphrase for torture',
      workers: 0,
      clock: new SkewedClock(START_MS),
      parameters: {
        kdf: { memoryKib: 64, passes: 1, lanes: 1 },
        packBytes: 64 * 1024,
        minSectors: 1,
        maxSectors: 4,
        cutBits: 1,
      },
    },
    signal,
  );
  const bucket = new SimulatedBucket();
  for await (const { key } of store.list('', signal)) {
    const content = await store.get(key, signal);
    if (content !== undefined) {
      bucket.put(key, content, 'creation');
    }
  }
  return { bucket, key: vault.exportKey() };
}

/** Counts what happens. */
export class CountingLog extends Log {
  readonly #count: (event: string) => void;

  constructor(count: (event: string) => void) {
    super();
    this.#count = count;
  }

  override error(event: string, fields?: LogFields): void {
    const reason = fields?.['conflict'] ?? fields?.['code'];
    this.#count(typeof reason === 'string' ? `${event} ${reason}` : event);
  }

  override warn(event: string, fields?: LogFields): void {
    this.error(event, fields);
  }

  override info(): void {
    // Nothing went wrong.
  }

  override debug(): void {
    // Nothing went wrong.
  }
}

/** One machine that knows the vault's key. */
export async function openVault(
  store: ObjectStore,
  key: Uint8Array,
  { clock, log, signal: stop }: { clock: Clock; log: Log; signal: AbortSignal },
): Promise<Vault> {
  return Vault.open(store, { kind: 'master-key', key }, { workers: 0, clock, log }, stop);
}
