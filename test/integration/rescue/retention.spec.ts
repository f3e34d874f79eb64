import { mkdir, open, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../../src/kernel/command.ts';
import { MIB, RescueLab } from './rescue-lab.ts';

interface Point {
  readonly id: string;
}

interface Alone {
  readonly exclusiveBytes: number;
}

interface Usage {
  readonly points: readonly Alone[];
  readonly neededBytes: number;
  readonly objectBytes: number;
}

interface Plan {
  readonly points: readonly Alone[];
  readonly freedBytes: number;
  readonly youngBytes: number;
  readonly keptBytes: number;
}

interface Amounts {
  readonly removedBytes: number;
  readonly writtenBytes: number;
}

interface Pruned {
  readonly plan: Amounts;
  readonly report: Amounts;
}

const { signal } = new AbortController();

/** Takes the last byte of a file system. */
async function fillUp(path: string): Promise<void> {
  await using file = await open(path, 'w');
  const piece = Buffer.alloc(4096);
  for (;;) {
    const written = await file.write(piece).catch(() => undefined);
    if (written === undefined || written.bytesWritten < piece.length) {
      return;
    }
  }
}

describe('rescue retire, hold, revive, prune and usage', () => {
  let lab: RescueLab;
  const vault = ['--vault', 'vault'];

  beforeAll(async () => {
    lab = await RescueLab.open();
    await lab.rescue(['create', ...vault, '--name', 'kept']);
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('empties a store that takes no more bytes, and says what that needs', async () => {
    const place = lab.path('small');
    await mkdir(place);
    await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'hk-test', place], signal);
    try {
      const own = ['--vault', join(place, 'vault')];
      await lab.document(['create', ...own, '--recovery-file', lab.path('small.txt')]);
      // One pack that is needed in part, then one that nothing needs when its point is given up.
      await lab.write('full.raw', 16 * MIB, [{ offset: 0, length: 6 * MIB, seed: 'shared' }]);
      await lab.document(['import', 'full.raw', '--vm', 'kept', ...own]);
      await lab.write('full.raw', 16 * MIB, [{ offset: 0, length: 5 * MIB, seed: 'other' }]);
      await lab.document(['import', 'full.raw', '--vm', 'kept', ...own]);
      await lab.write('gone.raw', 8 * MIB, [{ offset: 0, length: 4 * MIB, seed: 'gone' }]);
      await lab.document(['import', 'gone.raw', '--vm', 'gone', ...own]);
      const { points } = await lab.document<{ points: Point[] }>(['points', ...own]);
      const [first = '', second = '', third = ''] = points.map(({ id }) => id);
      const ballast = join(place, 'ballast');
      await fillUp(ballast);

      const refused = await lab.rescue(['retire', first, third, '--yes', ...own]);
      expect(refused).toMatchObject({ exitCode: 6 });
      expect(refused.stderr).toMatch(/error store.full: [^]*64 KiB/);

      await truncate(ballast, (await stat(ballast)).size - 64 * 1024);
      await lab.document(['retire', first, third, '--yes', ...own]);
      const { report } = await lab.document<Pruned>([
        ...['prune', '--young', '0', '--live-share', '100', '--all-points-are-listed', '--yes'],
        ...own,
      ]);
      expect(report.removedBytes).toBeGreaterThan(4 * MIB);
      const verified = await lab.rescue(['verify', second, ...own]);
      expect(verified).toMatchObject({ exitCode: 0 });
    } finally {
      await runCommand('umount', [place], signal);
    }
  });

  it('says what is given back in sums that add up', async () => {
    const own = ['--vault', 'sums'];
    await lab.rescue(['create', ...own, '--name', 'sums']);
    // Text shrinks and noise does not, so shares of raw bytes are not shares of stored ones.
    const image = lab.path('mixed.raw');
    const text = Buffer.from('all work and no play makes a dull disk\n'.repeat(30_000));
    await lab.write('mixed.raw', 16 * MIB, [{ offset: 0, length: 6 * MIB, seed: 'stays' }]);
    await using file = await open(image, 'r+');
    await file.write(text, 0, text.length, 8 * MIB);
    await lab.write('mixed.raw', 16 * MIB, [{ offset: 12 * MIB, length: MIB, seed: 'goes' }]);
    await lab.document(['import', image, '--vm', 'web', ...own]);
    await file.write(Buffer.alloc(text.length), 0, text.length, 8 * MIB);
    await file.write(Buffer.alloc(MIB), 0, MIB, 12 * MIB);
    await lab.document(['import', image, '--vm', 'web', ...own]);
    const [first = ''] = (await lab.document<{ points: Point[] }>(['points', ...own])).points.map(
      ({ id }) => id,
    );

    const usage = await lab.document<Usage>(['usage', ...own]);
    const alone = usage.points[0]?.exclusiveBytes ?? 0;
    const plan = await lab.document<Plan>(['retire', first, '--dry-run', ...own]);
    // Headers and footers of packs that go, and the point itself.
    const overhead = 64 * 1024;
    expect(plan.points.map(({ exclusiveBytes }) => exclusiveBytes)).toEqual([alone]);
    expect(Math.abs(plan.freedBytes + plan.keptBytes - alone)).toBeLessThan(overhead);
    expect(plan.keptBytes).toBeGreaterThan(MIB);
    expect(plan.youngBytes).toBeLessThanOrEqual(plan.freedBytes);
    expect(usage.objectBytes - usage.neededBytes).toBeGreaterThanOrEqual(0);
    expect(usage.objectBytes - usage.neededBytes).toBeLessThan(overhead);

    await lab.document(['retire', first, '--yes', ...own]);
    const after = await lab.document<Usage>(['usage', ...own]);
    expect(usage.neededBytes - after.neededBytes).toBe(alone);
    const rules = ['--young', '0', '--live-share', '100', '--all-points-are-listed', '--yes'];
    const { plan: planned, report } = await lab.document<Pruned>(['prune', ...rules, ...own]);
    const freed = report.removedBytes - report.writtenBytes;
    expect(Math.abs(planned.removedBytes - planned.writtenBytes - freed)).toBeLessThan(overhead);
    expect(Math.abs(freed - alone)).toBeLessThan(overhead);
  });

  it('gives points up and their space back, but nothing that is held or needed', async () => {
    await lab.write('disk.raw', 8 * MIB, [{ offset: 0, length: 2 * MIB, seed: 'one' }]);
    await lab.document(['import', 'disk.raw', '--vm', 'web', ...vault]);
    await lab.write('disk.raw', 8 * MIB, [{ offset: 0, length: 2 * MIB, seed: 'two' }]);
    await lab.document(['import', 'disk.raw', '--vm', 'web', ...vault]);
    const listed = await lab.document<{ points: Point[] }>(['points', ...vault]);
    const [first = '', second = ''] = listed.points.map(({ id }) => id);

    const usage = await lab.document<{ points: { exclusiveBytes: number }[] }>(['usage', ...vault]);
    expect(usage.points.map(({ exclusiveBytes }) => exclusiveBytes > 2_000_000)).toEqual([
      true,
      true,
    ]);

    await lab.document(['hold', first, '--reason', 'court', ...vault]);
    const refused = await lab.rescue(['retire', first, '--yes', ...vault]);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain('vault.point-held');
    await lab.document(['hold', first, '--release', '--yes', ...vault]);

    const planned = await lab.document<{ freedBytes: number }>([
      'retire',
      first,
      '--dry-run',
      ...vault,
    ]);
    expect(planned.freedBytes).toBeGreaterThan(2_000_000);
    await lab.document(['retire', first, '--yes', ...vault]);
    const back = await lab.document<{ point: Point }>(['revive', first, ...vault]);
    // Typed again after it was stopped half way.
    const both = await lab.document<{ points: Point[]; before: string[] }>([
      ...['retire', first, back.point.id, '--yes', ...vault],
    ]);
    expect(both.points.map(({ id }) => id)).toEqual([back.point.id]);
    expect(both.before).toEqual([first]);

    const dry = await lab.rescue(['prune', '--young', '0', '--dry-run', ...vault]);
    expect(dry.stdout).toContain('Nothing was changed.');
    expect(dry.stdout).toMatch(/1 recovery point of 1 VM stands; \d+ recovery points? given up/);
    // On its first day a machine does not believe what it was not shown.
    const early = await lab.rescue(['prune', '--young', '0', '--yes', ...vault]);
    expect(early).toMatchObject({ exitCode: 0 });
    expect(early.stdout).toMatch(
      /nothing is removed yet: prune again after .*\nNothing was changed/,
    );
    const { report } = await lab.document<{ report: { removedBytes: number } }>([
      'prune',
      '--young',
      '0',
      '--all-points-are-listed',
      '--yes',
      ...vault,
    ]);
    expect(report.removedBytes).toBeGreaterThan(2_000_000);
    const late = await lab.rescue(['revive', first, ...vault]);
    expect(late.exitCode).not.toBe(0);

    const left = await lab.document<{ points: Point[] }>(['points', ...vault]);
    expect(left.points.map(({ id }) => id)).toEqual([second]);
    await lab.document(['verify', second, ...vault]);
  });
});
