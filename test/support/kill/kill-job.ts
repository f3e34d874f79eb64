import assert from 'node:assert/strict';
import type { MemoryDisk } from '../disk/memory-disk.ts';
import { parsePackKey } from '../../../src/vault/format/object-names.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { entriesOf, type KillLab, type KillPlace, type Program, type Ran } from './kill-lab.ts';
import type { GateRequest } from '../s3/s3-gate.ts';
import { backUp } from '../vault/vault-lab.ts';

/** What a job left behind, in words that are the same whenever it was the same. */
export type Remains = Readonly<Record<string, number>>;

export type RunProgram = (program: Program) => Promise<Ran>;

/**
 * Of a finished run: what must not be done twice, and by how much it may be exceeded after a kill.
 */
export interface Effort {
  readonly of: (requests: readonly GateRequest[]) => number;
  readonly slack: (requests: readonly GateRequest[]) => number;
}

/** How to make a vault for a job. */
export type BeginJob = (lab: KillLab) => Promise<KillJob>;

/** Something that a process does to a vault and that can be killed. */
export interface KillJob {
  readonly kind: 'plain' | 'locked';
  /** The vault before. */
  readonly objects: ObjectStore;
  /** What is at the other place before. */
  readonly copy?: ObjectStore;
  /** On the machine, before. */
  readonly prepare?: (place: KillPlace) => Promise<void>;
  readonly program: (place: KillPlace) => Program;
  /**
   * What follows when the program has ended or was killed, until everything is done. Default: the
   * program once more if it was killed.
   */
  readonly finish?: (place: KillPlace, ran: Ran, run: RunProgram) => Promise<unknown>;
  readonly effort?: Effort;
  /** Default: points are whole at any time. */
  readonly mendsPoints?: boolean;
  /**
   * Proves the sealed points of what is there now. @returns how many; default: opened with the
   * passphrase
   */
  readonly prove?: (now: ObjectStore, place: KillPlace) => Promise<number>;
  /** Where what it does shows. */
  readonly result: (place: KillPlace) => ObjectStore;
  /** @param now a copy of what is there, to do anything with */
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

/** Nothing is condemned that nobody has carried out. */
export async function requireDone(store: ObjectStore): Promise<void> {
  const keys = new Set((await entriesOf(store)).map(({ key }) => key));
  const open = [...keys].filter((key) => /^gc\/[^.]+$/.test(key) && !keys.has(`${key}.done`));
  assert.deepEqual(open, []);
}

/** A command of this project, as somebody types it. */
export function rescue(
  parameters: readonly string[],
  more: Pick<Program, 'exitCodes' | 'environment'> = {},
): Program {
  return { path: 'src/cli.ts', parameters: ['rescue', ...parameters], ...more };
}

/** What there is, each with its size: of objects with random names how many. */
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
