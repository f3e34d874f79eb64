import { faultCode } from '../../../test/support/fault-code.ts';
import { pointDisk, recoveryPoint } from '../../../test/support/points.ts';
import { imageRequests, planImport } from './import-plan.ts';

const OLD = '01KAPX0000000000000000000A';
const NEW = '01KAPX0000000000000000000B';

function requests(...names: string[]) {
  return imageRequests(
    names.map((name) => `/images/${name}.raw`),
    { diskNames: names },
  );
}

describe('imageRequests', () => {
  it('takes the format from the file name and counts the disks', () => {
    expect(imageRequests(['/a/x.QCOW2', '/a/y.img'], { diskNames: [] })).toEqual([
      { path: '/a/x.QCOW2', format: 'qcow2', name: 'disk0' },
      { path: '/a/y.img', format: 'raw', name: 'disk1' },
    ]);
  });

  it.each([
    ['a file whose name says nothing', ['/dev/sdb'], []],
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
    const plan = planImport('web', requests('a', 'b'), []);

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

    const plan = planImport('web', requests('b', 'a'), [second, first, other]);

    expect(plan.vmId).toBe(first.vmId);
    expect(plan.previous?.id).toBe(NEW);
    expect(plan.disks.map(({ name, diskId }) => [name, diskId])).toEqual([
      ['b', 'id-b'],
      ['a', 'id-a'],
    ]);
  });

  it('says which disks came and went', () => {
    const before = recoveryPoint({ disks: [pointDisk({ name: 'a' }), pointDisk({ name: 'b' })] });

    expect(planImport('web', requests('a', 'c'), [before]).notes).toEqual([
      'Disk c is new.',
      'Disk b of the point before was not imported.',
    ]);
  });

  it('refuses a name that two VMs of the vault have', () => {
    const points = [recoveryPoint(), recoveryPoint({ vmId: 'another' })];

    expect(faultCode(() => planImport('web', requests('a'), points))).toBe('vm.ambiguous');
  });
});
