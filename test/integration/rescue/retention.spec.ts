import { MIB, RescueLab } from './rescue-lab.ts';

interface Point {
  readonly id: string;
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
