import { faultCode } from '../../../../test/support/service/fault-code.ts';
import { pointDisk, recoveryPoint } from '../../../../test/support/vault/points.ts';
import { imageRequests, planImport } from './import-plan.ts';

const OLD = '01KAPX0000000000000000000A';
const NEW = '01KAPX0000000000000000000B';
const WEB = { vm: 'web' };
const idOf = (...words: readonly string[]): string => `id of ${words.join(' ')}`;

function requests(...names: string[]) {
  const files = names.map((name) => `/images/${name}.raw`);
  return imageRequests(files, { diskNames: names }).map((request) => ({
    ...request,
    format: 'raw' as const,
  }));
}

describe('imageRequests', () => {
  it('takes the format from the file name and counts the disks', () => {
    expect(imageRequests(['/a/x.QCOW2', '/a/y.img'], { diskNames: [] })).toEqual([
      { path: '/a/x.QCOW2', format: 'qcow2', name: 'disk0' },
      { path: '/a/y.img', format: 'raw', name: 'disk1' },
    ]);
  });

  it('knows no format where the name says none', () => {
    expect(imageRequests(['/a/disk', '/a/disk.bin'], { diskNames: [] })).toMatchObject([
      { format: undefined },
      { format: undefined },
    ]);
    expect(imageRequests(['/a/disk'], { diskNames: [], format: 'raw' })).toMatchObject([
      { format: 'raw' },
    ]);
  });

  it.each([
    ['more names than files', ['/a.raw'], ['one', 'two']],
    ['a name that leaves its folder', ['/a.raw'], ['../x']],
    ['a name with a line break', ['/a.raw'], ['a\nb']],
    ['one name twice', ['/a.raw', '/b.raw'], ['disk1']],
    ['too many disks', Array.from({ length: 25 }, (_, n) => `/${String(n)}.raw`), []],
  ])('refuses %s', (_, files, diskNames) => {
    expect(faultCode(() => imageRequests(files, { diskNames }))).toBe('request.invalid');
  });
});

describe('planImport', () => {
  it('mints ids at the first import', () => {
    const plan = planImport(WEB, requests('a', 'b'), [], idOf);

    const ids = [plan.vmId, ...plan.disks.map(({ diskId }) => diskId)];
    expect(new Set(ids).size).toBe(3);
    expect(plan.previous).toBeUndefined();
    expect(plan.notes).toEqual([]);
  });

  it('continues the VM of that name with its ids, by the newest point', () => {
    const first = recoveryPoint({ id: OLD, disks: [pointDisk({ name: 'a', diskId: 'old-a' })] });
    const second = recoveryPoint({
      id: NEW,
      disks: [pointDisk({ name: 'a', diskId: 'id-a' }), pointDisk({ name: 'b', diskId: 'id-b' })],
    });
    const other = recoveryPoint({ id: NEW, vmName: 'db', vmId: 'other' });

    const plan = planImport(WEB, requests('b', 'a'), [second, first, other], idOf);

    expect(plan.vmId).toBe(first.vmId);
    expect(plan.previous?.id).toBe(NEW);
    expect(plan.disks.map(({ name, diskId }) => [name, diskId])).toEqual([
      ['b', 'id-b'],
      ['a', 'id-a'],
    ]);
  });

  it('says which disks came and went', () => {
    const before = recoveryPoint({ disks: [pointDisk({ name: 'a' }), pointDisk({ name: 'b' })] });

    expect(planImport(WEB, requests('a', 'c'), [before], idOf).notes).toEqual([
      'Disk c is new.',
      'Disk b of the point before was not imported.',
    ]);
  });

  it('gives one VM to two first imports of one name', () => {
    const [one, two] = [1, 2].map(() => planImport(WEB, requests('a'), [], idOf));

    expect(one).toEqual(two);
  });

  it('does not give a new VM the id of one that was renamed', () => {
    const renamed = recoveryPoint({ vmName: 'db', vmId: idOf('vm', 'web') });

    expect(planImport(WEB, requests('a'), [renamed], idOf).vmId).toBe(idOf('vm', 'web', '1'));
  });

  it('continues one of two VMs with one name by its id, under its name or a new one', () => {
    const points = [recoveryPoint(), recoveryPoint({ vmId: 'another' })];
    const vmId = 'another';

    expect(planImport({ vmId }, requests('a'), points, idOf)).toMatchObject({
      vmId,
      vmName: 'web',
    });
    expect(planImport({ vmId, vm: 'web3' }, requests('a'), points, idOf).vmName).toBe('web3');
    expect(faultCode(() => planImport({ vmId, ...WEB }, requests('a'), points, idOf))).toBe(
      'vm.ambiguous',
    );
    expect(faultCode(() => planImport({ vmId: 'none' }, requests('a'), points, idOf))).toBe(
      'point.unknown',
    );
    expect(faultCode(() => planImport({}, requests('a'), points, idOf))).toBe('request.invalid');
  });

  it('refuses a name that two VMs of the vault have', () => {
    const points = [recoveryPoint(), recoveryPoint({ vmId: 'another' })];

    expect(faultCode(() => planImport(WEB, requests('a'), points, idOf))).toBe('vm.ambiguous');
  });
});
