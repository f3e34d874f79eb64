import { randomUUID } from 'node:crypto';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import { VmDefinition } from '../../vm/definition.ts';
import { bootFilesFor, filesOf, planDisk, planVm } from './restore-plan.ts';

const DEFINITION = VmDefinition.parse({
  id: randomUUID(),
  name: 'web',
  disks: [
    { id: randomUUID(), name: 'system', path: '/old/s.qcow2', format: 'qcow2', sizeBytes: 1024 },
    {
      id: randomUUID(),
      name: 'scratch',
      path: '/old/x.raw',
      format: 'raw',
      sizeBytes: 1024,
      excluded: true,
    },
  ],
  nics: [{ mac: '52:54:00:00:00:01' }],
});

function pointOf(configuration: unknown, change: Partial<RecoveryPoint> = {}): RecoveryPoint {
  const diskId = DEFINITION.disks[0]?.id ?? '';
  return {
    id: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    vmName: 'web',
    configuration,
    disks: [{ diskId, name: 'system', sizeBytes: 1024 }],
    files: [],
    ...change,
  } as unknown as RecoveryPoint;
}

const PLACE = { folder: '/new', format: 'qcow2', bootFiles: {} } as const;

describe('planVm', () => {
  it('gives a VM with a new name new ids, MAC addresses and paths', () => {
    const plan = planVm(pointOf(DEFINITION), { ...PLACE, newName: 'web-2' });

    const restored = plan.definition?.content;
    expect(filesOf(plan)).toEqual(['/new/web-2-system.qcow2', '/new/web-2.json']);
    expect(restored?.name).toBe('web-2');
    expect(restored?.id).not.toBe(DEFINITION.id);
    expect(restored?.disks[0]?.id).not.toBe(DEFINITION.disks[0]?.id);
    expect(restored?.nics[0]?.mac).not.toBe(DEFINITION.nics[0]?.mac);
    expect(JSON.stringify(restored)).not.toContain('/old/');
  });

  it('restores a VM without a new name as it was', () => {
    const restored = planVm(pointOf(DEFINITION), PLACE).definition?.content;

    expect(restored).toMatchObject({ id: DEFINITION.id, name: 'web', nics: DEFINITION.nics });
  });

  it('says which disks are left out', () => {
    expect(planVm(pointOf(DEFINITION), PLACE).notes).toEqual([
      'Disk scratch is not in the recovery point and was left out.',
    ]);
  });

  it.each([
    ['no definition', undefined],
    ['a name that leaves the folder', { ...DEFINITION, name: '../../etc/cron.d/x' }],
    ['engine arguments of its own', { ...DEFINITION, arguments: ['-drive', 'file=/etc/shadow'] }],
  ])('refuses %s', (_, configuration) => {
    expect(() => planVm(pointOf(configuration), PLACE)).toThrow(
      expect.objectContaining({ code: 'point.definition-invalid' }) as Error,
    );
  });

  it('refuses a disk name that leaves the folder', () => {
    const disks = [{ diskId: 'd', name: '../x', sizeBytes: 1 }] as never;

    expect(() => planVm(pointOf(DEFINITION, { disks }), PLACE)).toThrow(
      expect.objectContaining({ code: 'point.definition-invalid' }) as Error,
    );
  });
});

describe('planDisk', () => {
  const target = { file: '/new/disk.raw', format: 'raw' } as const;

  it.each(['system', DEFINITION.disks[0]?.id, undefined])('finds the disk by %s', (disk) => {
    expect(filesOf(planDisk(pointOf(null), disk, target))).toEqual(['/new/disk.raw']);
  });

  it('refuses a disk that is not in the point', () => {
    expect(() => planDisk(pointOf(null), 'data', target)).toThrow(
      expect.objectContaining({ code: 'point.disk-unknown' }) as Error,
    );
  });
});

describe('bootFilesFor', () => {
  const stored = {
    kind: 'kernel',
    kernelPath: '/boot/vmlinuz',
    initrdPath: '/etc/shadow',
    commandLine: '',
  } as const;

  it('never takes a path from a point that nobody here boots from', () => {
    expect(bootFilesFor(stored, {}, [])).toEqual({});
    expect(
      bootFilesFor(stored, {}, [{ kind: 'kernel', kernelPath: '/boot/vmlinuz', commandLine: '' }]),
    ).toEqual({ kernelPath: '/boot/vmlinuz' });
  });

  it('takes what was asked for before all else', () => {
    expect(bootFilesFor(stored, { kernelPath: '/boot/new' }, [stored])).toEqual({
      kernelPath: '/boot/new',
      initrdPath: '/etc/shadow',
    });
  });
});
