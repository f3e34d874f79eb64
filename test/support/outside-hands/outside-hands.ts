import { writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrackingState } from '../../../src/disk/change-set.ts';
import type { AcceptedDisk, FrozenDisk } from '../../../src/engines/engine.ts';
import { frozenChain } from '../../../src/engines/qemu/state/disk-changes.ts';
import { isFault, type Fault } from '../../../src/kernel/fault.ts';
import { seededNumbers } from '../random/seeded-numbers.ts';
import { DEEDS, type Undo } from './deeds.ts';
import { HandLab } from './hand-lab.ts';

const KiB = 1024;
const { signal } = new AbortController();
const NAMES = ['system', 'data'] as const;

export interface HandsOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly log?: (line: string) => void;
}

interface Sealed {
  readonly state: TrackingState;
  readonly content: Buffer;
}

/**
 * A random life of a VM between its guest, its administrators and the engine. Backs up after each
 * deed: what is sealed must be what qemu-img reads from the frozen chain; a refusal must not have
 * changed a file; and no overlay may be read over an image that it was not made on.
 *
 * @returns how often each thing happened
 * @throws if a byte is wrong
 */
export async function outsideHands(options: HandsOptions): Promise<Map<string, number>> {
  await using hands = await HandLab.create();
  const life = new Life(hands, options);
  for (let round = 0; round < options.rounds; round += 1) {
    await life.round(round);
  }
  return life.counts;
}

class Life {
  readonly counts = new Map<string, number>();
  private readonly hands: HandLab;
  private readonly random: (limit: number) => number;
  private readonly log: (line: string) => void;
  /** What the guest must find as long as nobody has touched the disk. */
  private readonly known = new Map<string, Buffer>();
  private readonly sealed = new Map<string, Sealed>();
  /** Files of the administrator beside the disks, by content. */
  private theirs = new Map<string, string>();

  constructor(hands: HandLab, { seed, log }: HandsOptions) {
    this.hands = hands;
    this.random = seededNumbers(seed);
    this.log = log ?? (() => undefined);
    const decoy = 'data.raw.hk-5.qcow2';
    writeFileSync(join(hands.diskFolder, decoy), 'somebody put this here');
    this.theirs.set(decoy, hands.hashes().get(decoy) ?? '');
  }

  async round(round: number): Promise<void> {
    await this.turnOnOrOff();
    await this.guestWrites();
    const { undo, name } = await this.deed();
    const outcome = await this.backUp(undo !== undefined);
    let line = `${String(round)}: ${this.hands.isRunning ? 'on' : 'off'}, ${name}: ${outcome}`;
    if (undo !== undefined) {
      await undo();
    }
    if (outcome !== 'sealed') {
      line += `, then ${await this.wayOut(outcome)}`;
    }
    this.log(`${line} [${this.actions.splice(0).join()}]`);
    await this.hands.nextService();
    this.checkTheirs();
  }

  private readonly actions: string[] = [];

  private count(what: string): void {
    this.actions.push(what);
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** The engine's own actions, and what ends or starts QEMU without it. */
  private async turnOnOrOff(): Promise<void> {
    const { engine, vm, lab, isRunning } = this.hands;
    const choice = this.random(6);
    if (!isRunning && choice < 3) {
      await engine.start(vm, signal);
      this.count('start');
    } else if (isRunning && choice === 0) {
      await engine.stop(vm, { force: true }, signal);
      await this.hands.nextService();
      this.count('stop');
    } else if (isRunning && choice < 3) {
      await lab.killQemu();
      await engine.reconcile(signal);
      await this.hands.nextService();
      this.count('kill QEMU');
    } else if (isRunning && choice === 3) {
      const hasStarted = await this.hands.restartQemuByHand();
      this.known.clear();
      if (!hasStarted) {
        await engine.reconcile(signal);
      }
      await this.hands.nextService();
      this.count('start by hand');
    } else if (!isRunning && choice === 3) {
      if (await this.hands.releaseAndAdd()) {
        this.known.clear();
      }
      this.sealed.clear();
      this.count('release and add again');
    }
  }

  private async guestWrites(): Promise<void> {
    if (!this.hands.isRunning) {
      return;
    }
    for (const name of NAMES) {
      const known = this.known.get(name);
      for (let count = this.random(3); count > 0; count -= 1) {
        const range = { offset: 4 * KiB * this.random(384), length: 8 * KiB };
        const byte = 1 + this.random(255);
        await this.hands.lab.fill(name, range, byte);
        known?.fill(byte, range.offset, range.offset + range.length);
      }
    }
  }

  private async deed(): Promise<{ readonly name: string; readonly undo: Undo | undefined }> {
    const { isRunning } = this.hands;
    const possible = DEEDS.filter(({ when }) =>
      isRunning ? when === 'both' || (when === 'on' && !this.isMerging()) : when !== 'on',
    );
    const deed = possible[this.random(possible.length)];
    if (deed === undefined || this.random(4) === 0) {
      return { name: 'nothing', undo: undefined };
    }
    const disk = NAMES[this.random(NAMES.length)] ?? 'data';
    try {
      const undo = await deed.do(this.hands, disk, this.random);
      this.known.clear();
      this.count(deed.name);
      return { name: `${deed.name} (${disk})`, undo };
    } catch (error) {
      // A tool that refuses: a lock, a snapshot in the way, no right to mount.
      this.known.clear();
      this.count('a tool refused');
      return {
        name: `${deed.name} (${disk}) was refused by the tool: ${String(error)}`,
        undo: undefined,
      };
    }
  }

  /** While QEMU itself writes a base, a write by somebody else cannot be distinguished. */
  private isMerging(): boolean {
    const { disks } = this.hands.state();
    return disks.some(({ layers, mergeIntent }) => layers.length > 2 || mergeIntent !== undefined);
  }

  /** @returns `sealed`, or the code of the refusal */
  private async backUp(mustRefuse: boolean): Promise<string> {
    const before = this.hands.hashes();
    const isUnclear = await this.isUnclear();
    try {
      const options = { jobToken: 'job', crashConsistent: true };
      await using frozen = await this.hands.engine.freeze(this.hands.vm, options, signal);
      if (isUnclear || mustRefuse) {
        throw new Error('a backup was not refused');
      }
      for (const disk of frozen.disks) {
        await this.compare(disk);
      }
      this.count('sealed');
      return 'sealed';
    } catch (error) {
      if (!isFault(error)) {
        throw error;
      }
      this.count(error.code);
      const now = this.hands.hashes();
      const changed = [...before].filter(([name, hash]) => now.get(name) !== hash);
      const touched = changed.filter(([name]) => this.isGuarded(name, error));
      if (touched.length > 0) {
        throw new Error(`refused with ${error.code}, but ${touched.join()} changed`, {
          cause: error,
        });
      }
      return error.code;
    }
  }

  /**
   * While a VM runs, QEMU writes its tops, and the layers of a disk without a question are merged.
   */
  private isGuarded(fileName: string, { code, context }: Fault): boolean {
    const bases = this.hands.definition.disks.filter(
      ({ id }) => code !== 'engine.base-replaced' || id === context['diskId'],
    );
    return !this.hands.isRunning || bases.some(({ path }) => path.endsWith(`/${fileName}`));
  }

  private async compare(disk: FrozenDisk): Promise<void> {
    const content = Buffer.alloc(disk.sizeBytes);
    await disk.reader.read(0, content, signal);
    const oracle = await this.chainOf(disk);
    assertEqual(content, oracle, `${disk.name}: the point is not what the chain holds`);
    if (disk.sizeBytes !== oracle.length) {
      throw new Error(
        `${disk.name} has ${String(oracle.length)} bytes, not ${String(disk.sizeBytes)}`,
      );
    }
    const known = this.known.get(disk.name);
    if (known !== undefined) {
      assertEqual(content, known, `${disk.name}: the guest wrote something else`);
    }
    const earlier = this.sealed.get(disk.name);
    const changes = await disk.changedSince(earlier?.state);
    if (earlier !== undefined && changes.method !== 'full') {
      const rebuilt = Buffer.alloc(disk.sizeBytes);
      earlier.content.copy(rebuilt);
      for (const { offset, length } of changes.extents) {
        oracle.copy(rebuilt, offset, offset, offset + length);
      }
      assertEqual(rebuilt, content, `${disk.name}: a change was not tracked`);
      this.count('incremental');
    }
    this.known.set(disk.name, Buffer.from(content));
    this.sealed.set(disk.name, { state: disk.tracking, content });
  }

  /**
   * Returns what qemu-img reads from the frozen chain. A QEMU that had the base itself open goes on
   * with the size that it had, whatever somebody appended to the file since.
   */
  private async chainOf({ name, sizeBytes }: FrozenDisk): Promise<Buffer> {
    const layers = frozenChain(this.hands.disk(name));
    const content = await this.hands.read(layers);
    return this.hands.isRunning && layers.length === 1 ? content.subarray(0, sizeBytes) : content;
  }

  /** Whether a layer that is not the newest differs from its journal, under a layer with data. */
  private async isUnclear(): Promise<boolean> {
    if (this.hands.isRunning) {
      return false;
    }
    for (const { layers } of this.hands.state().disks) {
      for (const [index, { path, identity }] of layers.slice(0, -1).entries()) {
        const modified = identity?.settled?.modifiedNs;
        const now = await modifiedNs(path);
        const above = layers.slice(index + 1);
        const isChanged = modified !== undefined && now !== undefined && now !== modified;
        if (isChanged && (await anyOf(above, async (layer) => this.hands.holdsData(layer)))) {
          return true;
        }
      }
    }
    return false;
  }

  /** Follows the remedy that the refusal names; afterwards a backup must succeed. */
  private async wayOut(code: string): Promise<string> {
    const { engine, vm, lab } = this.hands;
    const said = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const wish = this.random(2) === 0 ? 'image' : 'chain';
      const keep = wish === 'image' && this.hands.isRunning ? 'chain' : wish;
      const files = this.hands.hashes();
      try {
        const accepted = await engine.accept(vm, { keep, dryRun: false }, signal);
        this.noteAsides(keep === 'image' ? accepted : [], files);
        said.push(`accept ${accepted.length > 0 ? keep : 'nothing'}`);
      } catch (error) {
        if (!isFault(error)) {
          throw error;
        }
        said.push(error.code);
        await lab.killQemu();
      }
      this.known.clear();
      const outcome = await this.backUp(false);
      said.push(outcome);
      if (outcome === 'sealed') {
        this.count('way out');
        return said.join(', ');
      }
    }
    throw new Error(`no way out of ${code}: ${said.join(', ')}`);
  }

  private noteAsides(accepted: readonly AcceptedDisk[], files: ReadonlyMap<string, string>): void {
    const nameOf = (path: string) => path.slice(this.hands.diskFolder.length + 1);
    for (const { path, setAsideAs } of accepted.flatMap(({ overlays }) => overlays)) {
      this.theirs.set(nameOf(setAsideAs), files.get(nameOf(path)) ?? '');
    }
  }

  private checkTheirs(): void {
    const now = this.hands.hashes();
    for (const [name, hash] of this.theirs) {
      if (now.get(name) !== hash) {
        throw new Error(`${name}, which is the administrator's, was changed or removed`);
      }
    }
  }
}

async function modifiedNs(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found === undefined ? undefined : String(found.mtimeNs);
}

async function anyOf<T>(
  values: readonly T[],
  test: (value: T) => Promise<boolean>,
): Promise<boolean> {
  for (const value of values) {
    if (await test(value)) {
      return true;
    }
  }
  return false;
}

function assertEqual(content: Buffer, expected: Buffer, what: string): void {
  if (!content.equals(expected)) {
    const at = content.findIndex((byte, index) => byte !== expected[index]);
    throw new Error(`${what}, from byte ${String(at)} on`);
  }
}
