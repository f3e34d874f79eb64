import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { Clock } from '../../src/kernel/clock.ts';
import { FORMAT_VERSION } from '../../src/vault/format/format-version.ts';
import type { ObjectStore } from '../../src/vault/store/object-store.ts';
import { DirectoryObjectStore } from '../../src/vault/object-stores/folder/directory.ts';
import type { RecoveryPoint } from '../../src/vault/points/recovery-point.ts';
import type { CreateOptions } from '../../src/vault/access/vault-options.ts';
import { Vault } from '../../src/vault/vault.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import { keysOf } from '../support/vault/vault-damage.ts';
import { signal } from '../support/vault/vault-lab.ts';

/** What opens a golden vault. All of it is public: these vaults hold no secret. */
export const SECRETS = {
  first: 'the first golden passphrase',
  second: 'the second golden passphrase',
  retention: 'the golden retention passphrase',
};

/** What a reader must restore. */
export interface GoldenPoint {
  readonly id: string;
  readonly vmId: string;
  readonly vmName: string;
  readonly disks: readonly {
    readonly name: string;
    readonly sizeBytes: number;
    readonly sha256: string;
  }[];
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
}

/** `expected.json` of a golden vault. */
export interface Golden {
  readonly formatVersion: number;
  readonly vaultId: string;
  readonly passphrases: typeof SECRETS;
  readonly recoveryFile: string;
  readonly points: readonly GoldenPoint[];
  /** Packs that a scrub finds damaged: other names have their content whole. */
  readonly damaged: readonly string[];
  /** Every object by its key: distinguishes a changed vault from a wrong reader. */
  readonly objects: Readonly<Record<string, string>>;
}

/** Starts at 2026-01-15 00:00 UTC; a second later with each look. */
export class GoldenClock extends Clock {
  #nowMs = 1_768_435_200_000;

  override nowMs(): number {
    this.#nowMs += 1000;
    return this.#nowMs;
  }

  override monotonicMs(): number {
    return this.#nowMs;
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The disks of a VM as they are now, and their hashes. */
export interface GoldenDisk {
  readonly id: string;
  readonly name: string;
  readonly disk: MemoryDisk;
}

async function diskHash(disk: MemoryDisk): Promise<string> {
  const whole = new Uint8Array(disk.size);
  await disk.reader().read(0, whole, signal);
  return sha256(whole);
}

/** Content that compresses, and is different everywhere. */
export function textBytes(seed: string, length: number): Uint8Array {
  const words = seededBytes(seed, Math.ceil(length / 16) * 2);
  const lines: string[] = [];
  for (let at = 0; at < words.length; at += 2) {
    lines.push(
      `entry ${String(words[at] ?? 0).padStart(3)} ${String(words[at + 1] ?? 0).padStart(4)}\n`,
    );
  }
  return Buffer.from(lines.join('')).subarray(0, length);
}

export interface GoldenVm {
  readonly vmId: string;
  readonly vmName: string;
  readonly disks: readonly GoldenDisk[];
  readonly files: Readonly<Record<string, Uint8Array>>;
}

type Changes = Parameters<Awaited<ReturnType<Vault['beginPoint']>>['addDisk']>[0]['changes'];

/** Takes a point of a VM as it is now, and notes what it must give back. */
export async function goldenPoint(
  vault: Vault,
  { vmId, vmName, disks, files }: GoldenVm,
  changes: Changes,
  clock: Clock,
): Promise<GoldenPoint> {
  await using writer = await vault.beginPoint({ vmId, vmName }, signal);
  for (const { id, name, disk } of disks) {
    const reader = disk.reader();
    const tracking = { id: `${id}-tracking`, generation: 1 };
    const source = { diskId: id, name, sizeBytes: disk.size, reader, changes, tracking };
    await writer.addDisk(source, { signal });
  }
  for (const [name, content] of Object.entries(files)) {
    await writer.addFile(name, content, signal);
  }
  const facts = { takenAtMs: clock.nowMs(), consistency: 'filesystem', notes: ['golden'] } as const;
  const point = await writer.commit(
    { ...facts, configuration: definition({ vmId, vmName, disks }, files) },
    signal,
  );
  return await expectedOf(point, disks, files);
}

async function expectedOf(
  { id, vmId, vmName }: RecoveryPoint,
  disks: readonly GoldenDisk[],
  files: GoldenVm['files'],
): Promise<GoldenPoint> {
  const hashes = [];
  for (const { name, disk } of disks) {
    hashes.push({ name, sizeBytes: disk.size, sha256: await diskHash(disk) });
  }
  return {
    id,
    vmId,
    vmName,
    disks: hashes,
    files: Object.entries(files).map(([name, content]) => ({ name, sha256: sha256(content) })),
  };
}

function definition(
  { vmId, vmName, disks }: Omit<GoldenVm, 'files'>,
  files: GoldenVm['files'],
): unknown {
  const uefi = { kind: 'uefi', codePath: '/firmware/code.fd', nvramPath: '/vms/nvram.qcow2' };
  return {
    id: vmId,
    name: vmName,
    firmware: 'nvram' in files ? uefi : { kind: 'bios' },
    disks: disks.map(({ id, name, disk }) => ({
      id,
      name,
      path: `/vms/${name}.raw`,
      format: 'raw',
      sizeBytes: disk.size,
    })),
    nics: [{ mac: '52:54:00:00:00:01' }],
  };
}

/** A small vault without anything special, with the other algorithm for chunk ids. */
export async function makeSmallGolden(folder: string, options: CreateOptions): Promise<void> {
  const store = new DirectoryObjectStore(join(folder, 'vault'));
  const clock = options.clock ?? new GoldenClock();
  const { vault, recoveryFile } = await Vault.create(store, options, signal);
  const disk = new MemoryDisk(150_001);
  disk.write(0, textBytes('small', 60_000));
  disk.write(100_000, seededBytes('small', 20_000));
  const vm = { ...goldenName('small', 3), disks: [oneDisk(3, 'root', disk)], files: {} };
  const full = { method: 'full', reason: 'first-backup' } as const;
  const point = await goldenPoint(vault, vm, full, clock);
  await vault.close();
  await writeExpected(folder, store, {
    vaultId: vault.id,
    recoveryFile,
    points: [point],
    damaged: [],
  });
}

export function goldenName(vmName: string, number: number): Pick<GoldenVm, 'vmId' | 'vmName'> {
  return { vmId: `0b0f3a80-7b5a-4c53-8d5c-6f1f0f8f1${String(number).padStart(3, '0')}`, vmName };
}

export function oneDisk(number: number, name: string, disk: MemoryDisk): GoldenDisk {
  return { id: `0b0f3a80-7b5a-4c53-8d5c-6f1f0f8f000${String(number)}`, name, disk };
}

export async function writeExpected(
  folder: string,
  store: ObjectStore,
  facts: Pick<Golden, 'vaultId' | 'recoveryFile' | 'points' | 'damaged'>,
): Promise<void> {
  const golden: Golden = {
    formatVersion: FORMAT_VERSION,
    passphrases: SECRETS,
    ...facts,
    objects: await objectHashes(store),
  };
  await writeFile(join(folder, 'expected.json'), `${JSON.stringify(golden, undefined, 2)}\n`);
}

export async function objectHashes(store: ObjectStore): Promise<Record<string, string>> {
  const objects: Record<string, string> = {};
  for (const key of (await keysOf(store, '')).sort()) {
    objects[key] = sha256((await store.get(key, signal)) ?? new Uint8Array());
  }
  return objects;
}

export async function readGolden(folder: string): Promise<Golden> {
  return JSON.parse(await readFile(join(folder, 'expected.json'), 'utf8')) as Golden;
}
