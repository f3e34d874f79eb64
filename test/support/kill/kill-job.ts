import assert from 'node:assert/strict';
import type { MemoryDisk } from '../disk/memory-disk.ts';
import { parsePackKey } from '../../../src/vault/format/object-names.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { entriesOf, type KillLab, type KillPlace, type Program, type Ran } from './kill-lab.ts';
import type { GateRequest } from '../s3/s3-gate.ts';
import { backUp } from '../vault/vault-lab.ts';

/** What a job left behind, in words that are equal for equal states. */
export type Remains = Readonly<Record<string, number>>;

export type RunProgram = (program: Program) => Promise<Ran>;

/** What a finished run must not do twice, and by how much it may be exceeded after a kill. */
export interface Effort {
  readonly of: (requests: readonly GateRequest[]) => number;
  readonly slack: (requests: readonly GateRequest[]) => number;
}

/** How to make a vault for a job. */
export type BeginJob = (lab: KillLab) => Promise<KillJob>;

/** Something that a process does to a vault and that can be killed. */
export interface KillJob {
  readonly kind: 'plain' | 'locked';
  /** The vault before the job. */
  readonly objects: ObjectStore;
  /** Objects at the other place before the job. */
  readonly copy?: ObjectStore;
  /** Prepares the machine before the job. */
  readonly prepare?: (place: KillPlace) => Promise<void>;
  readonly program: (place: KillPlace) => Program;
  /**
   * Continues after the program has ended or was killed, until everything is done. Default: runs
   * the program once more if it was killed.
   */
  readonly finish?: (place: KillPlace, ran: Ran, run: RunProgram) => Promise<unknown>;
  readonly effort?: Effort;
  /** Default: points are whole at any time. */
  readonly mendsPoints?: boolean;
  /**
   * Proves the sealed points that are there now. @returns how many; default: opens with the
   * passphrase
   */
  readonly prove?: (now: ObjectStore, place: KillPlace) => Promise<number>;
  /** Store that shows the result. */
  readonly result: (place: KillPlace) => ObjectStore;
  /** @param now a copy of what is there, which may be changed */
  readonly remains: (now: ObjectStore, place: KillPlace) => Promise<Remains>;
}

const isPack = ({ step }: GateRequest): boolean => /^PUT (?:copy:)?[dm]\/$/.test(step);

export const PACKS_SENT: Effort = {
  of: (requests) => requests.filter(isPack).reduce((sum, { bytes }) => sum + bytes, 0),
  slack: (requests) => largest(requests.filter(isPack)),
};

export function largest(requests: readonly GateRequest[]): number {
  return Math.max(...requests.map(({ bytes }) => bytes));
}

export async function take(vault: Vault, disk: MemoryDisk, vmId: string): Promise<string> {
  return (await backUp(vault, disk, { vm: { vmId, vmName: vmId } })).id;
}

/** Requires that every condemned list was carried out. */
export async function requireDone(store: ObjectStore): Promise<void> {
  const keys = new Set((await entriesOf(store)).map(({ key }) => key));
  const open = [...keys].filter((key) => /^gc\/[^.]+$/.test(key) && !keys.has(`${key}.done`));
  assert.deepEqual(open, []);
}

/** Returns a command of this project, as a user types it. */
export function rescue(
  parameters: readonly string[],
  more: Pick<Program, 'exitCodes' | 'environment'> = {},
): Program {
  return { path: 'src/cli.ts', parameters: ['rescue', ...parameters], ...more };
}

/** Returns the objects with their sizes; for objects with random names, how many there are. */
export async function inventory(store: ObjectStore): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { key, size } of await entriesOf(store)) {
    const pack = parsePackKey(key);
    const name =
      pack === undefined
        ? key.replace(/(?<=^bad\/[^.]+)[.].*[.]done$/, ' healed')
        : `${pack.kind} ${pack.ulid}.${String(pack.generation)}`;
    found[name] = (found[name] ?? 0) + size;
  }
  return found;
}
