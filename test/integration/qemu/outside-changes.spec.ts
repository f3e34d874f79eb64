import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { FrozenVm } from '../../../src/engines/engine.ts';
import type { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { Draw } from '../../support/draw.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

/** A run draws 3 of 6 changes of an image under an overlay. All: `npm run soak -- drawn`. */
const draw = new Draw('outside changes');
const MiB = 1024 * 1024;
const { signal } = new AbortController();
const job = () => ({ jobToken: 'job', crashConsistent: true });

function qemuImg(...parameters: readonly string[]): void {
  execFileSync('qemu-img', parameters, { stdio: 'ignore' });
}

function write(path: string, byte: number, format = 'qcow2'): void {
  const command = `write -P ${String(byte)} 0 64k`;
  execFileSync('qemu-io', ['-f', format, '-c', command, path], { stdio: 'ignore' });
}

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Writes past QEMU's image locks, as a loop device or dd does. */
function writeBehind(path: string): void {
  const file = openSync(path, 'r+');
  writeSync(file, 'x', 2 * MiB);
  closeSync(file);
}

/** The first byte and the size of the first disk at the freeze. */
async function seen(frozen: FrozenVm): Promise<{ byte: number; sizeBytes: number }> {
  const [disk] = frozen.disks;
  const target = new Uint8Array(512);
  await disk?.reader.read(0, target, signal);
  return { byte: target[0] ?? -1, sizeBytes: disk?.reader.size ?? -1 };
}

/** Freezes the running VM, writes to it and kills it: what was written is in an overlay. */
async function crash(engine: QemuEngine, lab: QemuLab, byte?: number): Promise<void> {
  await engine.start(lab.vm, signal);
  await using frozen = await engine.freeze(lab.vm, job(), signal);
  if (byte !== undefined) {
    await lab.fill('system', { offset: 0, length: 64 * 1024 }, byte);
  }
  await lab.killQemu();
  expect(frozen.disks).toHaveLength(1);
}

async function backUp(engine: QemuEngine, lab: QemuLab) {
  await using frozen = await engine.freeze(lab.vm, job(), signal);
  const method = await frozen.disks[0]?.changedSince(undefined);
  return { ...(await seen(frozen)), method, warnings: frozen.warnings.join('; ') };
}

describe('A disk of a VM that is off', () => {
  let lab: QemuLab;
  let engine: QemuEngine;
  let base: string;
  const overlay = (number: number) => `${base}.hk-${String(number)}.qcow2`;

  beforeEach(async () => {
    lab = await QemuLab.create([{ name: 'system', format: 'qcow2' }]);
    engine = lab.engine();
    base = lab.definition.disks[0]?.path ?? '';
    write(base, 1);
    await engine.add(lab.definition, signal);
  });

  afterEach(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('says so also when there are as many older warnings as the state file keeps', async () => {
    await backUp(engine, lab);
    const state = JSON.parse(readFileSync(lab.paths.state, 'utf8')) as object;
    const warnings = Array.from({ length: 32 }, (_, at) => `older ${String(at)}`);
    writeFileSync(lab.paths.state, JSON.stringify({ ...state, warnings }));
    write(base, 2);

    const { warnings: told } = await backUp(engine, lab);

    expect(told).toContain('disk system was changed outside');
    expect(told).toContain('older 31');
  });

  it('is read as it is when its current layer was written from outside', async () => {
    await crash(engine, lab);
    expect(await backUp(engine, lab)).toMatchObject({ byte: 1 });
    write(overlay(1), 2);

    const second = await backUp(engine, lab);

    expect(second).toMatchObject({ byte: 2, method: { method: 'full' } });
    expect(second.warnings).toContain('disk system was changed outside');
    expect(await backUp(engine, lab)).toMatchObject({ byte: 2, warnings: '' });
  });

  it('has the size that qemu-img gave its current layer', async () => {
    await crash(engine, lab);
    await backUp(engine, lab);
    qemuImg('resize', '-q', overlay(1), '16M');

    expect(await backUp(engine, lab)).toMatchObject({ byte: 1, sizeBytes: 16 * MiB });
    expect(await backUp(engine, lab)).toMatchObject({ byte: 1, sizeBytes: 16 * MiB });
    const { definition } = await engine.get(lab.vm, signal);
    expect(definition?.disks[0]?.sizeBytes).toBe(16 * MiB);
  });

  it('is released with the size that it has, however it got that', async () => {
    await crash(engine, lab, 8);
    await backUp(engine, lab);
    qemuImg('resize', '-q', base, '12M');
    await engine.accept(lab.vm, { keep: 'image', dryRun: false }, signal);

    const released = await engine.release(lab.vm, signal);

    expect(released.disks[0]?.sizeBytes).toBe(12 * MiB);
    await engine.add(released, signal);
  });

  it.each([
    [
      'its times set back',
      () => {
        utimesSync(overlay(1), statSync(base).atime, new Date(0));
      },
    ],
    [
      'its mode changed',
      () => {
        chmodSync(overlay(1), 0o644);
      },
    ],
  ])('is read whole when its current layer had %s', async (_, touch) => {
    await crash(engine, lab);
    const first = await engine.freeze(lab.vm, job(), signal);
    await first[Symbol.asyncDispose]();
    touch();

    await using second = await engine.freeze(lab.vm, job(), signal);
    expect(await second.disks[0]?.changedSince(first.disks[0]?.tracking)).toMatchObject({
      reason: 'tracking-replaced',
    });
  });

  it('is its image again when that was changed under an empty overlay', async () => {
    await crash(engine, lab);
    await backUp(engine, lab);
    write(base, 3);
    qemuImg('resize', '-q', base, '12M');

    expect(await backUp(engine, lab)).toMatchObject({ byte: 3, sizeBytes: 12 * MiB });
    expect(existsSync(overlay(1))).toBe(false);
  });

  describe('whose overlay holds data', () => {
    let older: string;

    beforeEach(async () => {
      older = join(lab.folder, 'older.qcow2');
      copyFileSync(base, older);
      await crash(engine, lab, 8);
      await backUp(engine, lab);
    });

    it.each(
      draw.some(
        [
          [
            'replaced',
            () => {
              renameSync(older, base);
            },
          ],
          [
            'written',
            () => {
              write(base, 9);
            },
          ],
          [
            'copied over',
            () => {
              copyFileSync(older, base);
            },
          ],
          [
            'converted over',
            () => {
              qemuImg('convert', '-O', 'qcow2', older, base);
            },
          ],
          [
            'reverted',
            () => {
              qemuImg('snapshot', '-c', 'before', base);
            },
          ],
          [
            'resized',
            () => {
              qemuImg('resize', '-q', base, '16M');
            },
          ],
        ] as const,
        3,
      ),
    )('is not started, read or merged when its image was %s', async (_, change) => {
      change();
      const files = [base, overlay(1)];
      const hashes = () => files.map(hashOf);
      const before = hashes();
      const refusal = {
        code: 'engine.base-replaced',
        message: expect.stringContaining('vm accept lab-vm') as string,
      };

      await expect(engine.freeze(lab.vm, job(), signal)).rejects.toMatchObject(refusal);
      await expect(engine.start(lab.vm, signal)).rejects.toMatchObject(refusal);
      await expect(engine.release(lab.vm, signal)).rejects.toMatchObject(refusal);
      await engine.reconcile(signal);

      expect(hashes()).toEqual(before);
      const { warnings } = await engine.get(lab.vm, signal);
      expect(warnings.join()).toContain(`${base} was replaced or written from outside`);
    });

    it('goes on with the image alone when that is chosen, and keeps the overlays', async () => {
      renameSync(older, base);
      const inWay = readdirSync(lab.folder).length;

      const plan = await engine.accept(lab.vm, { keep: 'image', dryRun: true }, signal);
      expect(plan).toMatchObject([{ name: 'system', imagePath: base }]);
      expect(readdirSync(lab.folder)).toHaveLength(inWay);
      await expect(engine.start(lab.vm, signal)).rejects.toThrow('vm accept');
      const hash = hashOf(overlay(1));
      expect(existsSync(`${base}.hyperkeep-unmerged`)).toBe(true);
      const [done] = await engine.accept(lab.vm, { keep: 'image', dryRun: false }, signal);

      expect(done?.overlays[0]?.path).toBe(overlay(1));
      expect(existsSync(overlay(1))).toBe(false);
      expect(existsSync(`${base}.hyperkeep-unmerged`)).toBe(false);
      expect(hashOf(done?.overlays[0]?.setAsideAs ?? '')).toBe(hash);
      expect((await engine.get(lab.vm, signal)).warnings.join()).not.toContain('was replaced');
      expect(await backUp(engine, lab)).toMatchObject({ byte: 1, method: { method: 'full' } });
      await engine.start(lab.vm, signal);
      expect(await engine.accept(lab.vm, { keep: 'image', dryRun: false }, signal)).toEqual([]);
    });

    it('goes on with the chain when that is chosen, and reads it whole', async () => {
      renameSync(base, `${base}.elsewhere`);
      renameSync(`${base}.elsewhere`, base);
      const first = await engine.freeze(lab.vm, job(), signal).catch((error: unknown) => error);
      expect(first).toMatchObject({ code: 'engine.base-replaced' });

      await engine.accept(lab.vm, { keep: 'chain', dryRun: false }, signal);

      expect(await backUp(engine, lab)).toMatchObject({ byte: 8 });
      await engine.start(lab.vm, signal);
    });

    it('is released after the way out that is said when its image was lengthened', async () => {
      qemuImg('resize', '-q', base, '16M');
      await engine.accept(lab.vm, { keep: 'chain', dryRun: false }, signal);
      const refusal = await engine.release(lab.vm, signal).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'engine.merge-failed' });
      const [, command = ''] = /with: (qemu-img [^)]+)/.exec(String(refusal)) ?? [];

      execFileSync('sh', ['-c', command]);

      expect(await backUp(engine, lab)).toMatchObject({ byte: 8, sizeBytes: 16 * MiB });
      const released = await engine.release(lab.vm, signal);
      expect(released.disks[0]?.sizeBytes).toBe(16 * MiB);
      await engine.add(released, signal);
      expect(await backUp(engine, lab)).toMatchObject({ byte: 8, sizeBytes: 16 * MiB });
    });

    it('is not accepted as an image that is none', async () => {
      writeFileSync(base, 'no image');

      await expect(
        engine.accept(lab.vm, { keep: 'image', dryRun: false }, signal),
      ).rejects.toMatchObject({ code: 'engine.image-refused' });
      expect(existsSync(overlay(1))).toBe(true);
    });
  });
});

describe('A frozen state', () => {
  it('is not to be sealed when an image of it was written while it was read', async () => {
    await using lab = await QemuLab.create([{ name: 'data', format: 'raw' }]);
    const engine = lab.engine();
    const base = lab.definition.disks[0]?.path ?? '';
    await engine.add(lab.definition, signal);
    await using frozen = await engine.freeze(lab.vm, job(), signal);
    await frozen.assertUnchanged(signal);
    chmodSync(base, 0o644);
    await frozen.assertUnchanged(signal);

    writeBehind(base);

    await expect(frozen.assertUnchanged(signal)).rejects.toMatchObject({
      code: 'engine.image-changed',
    });
  });

  it('leaves a file that somebody put under the name of an overlay that never came', async () => {
    await using lab = await QemuLab.create([{ name: 'data', format: 'raw' }]);
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    const path = `${lab.definition.disks[0]?.path ?? ''}.hk-1.qcow2`;
    const state = JSON.parse(readFileSync(lab.paths.state, 'utf8')) as object;
    // As a service leaves it that ended between planning and making.
    writeFileSync(lab.paths.state, JSON.stringify({ ...state, leftovers: [path] }));
    writeFileSync(path, 'precious');

    await engine.reconcile(signal);

    expect(readFileSync(path, 'utf8')).toBe('precious');
    expect(JSON.parse(readFileSync(lab.paths.state, 'utf8'))).toMatchObject({ leftovers: [] });
  });
});

describe('A disk of a running VM', () => {
  it('is neither read nor merged when its image was written under the guest', async () => {
    await using lab = await QemuLab.create([{ name: 'data', format: 'raw' }]);
    const engine = lab.engine();
    const base = lab.definition.disks[0]?.path ?? '';
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    await backUp(engine, lab);
    await lab.fill('data', { offset: 0, length: MiB }, 5);
    writeBehind(base);
    const hash = hashOf(base);

    await expect(engine.freeze(lab.vm, job(), signal)).rejects.toMatchObject({
      code: 'engine.base-replaced',
    });
    await engine.reconcile(signal);
    expect(hashOf(base)).toBe(hash);
    await expect(
      engine.accept(lab.vm, { keep: 'image', dryRun: false }, signal),
    ).rejects.toMatchObject({ code: 'engine.vm-busy' });
    await engine.accept(lab.vm, { keep: 'chain', dryRun: false }, signal);
    expect(await backUp(engine, lab)).toMatchObject({ byte: 5 });
  });
});
