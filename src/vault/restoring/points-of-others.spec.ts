import { faultCode } from '../../../test/support/service/fault-code.ts';
import { pointDisk, recoveryPoint } from '../../../test/support/vault/points.ts';
import { VmDefinition } from '../../vm/definition.ts';
import { filesOf, planDisk, planVm, type VmPlace } from './restore-plan.ts';

const UUID = '0b0f3a80-7b5a-4c53-8d5c-6f1f0f8f0002';
const PLACE: VmPlace = { folder: '/to', format: 'qcow2', bootFiles: {} };

function withFirmware(firmware: VmDefinition['firmware'], files: string[] = []) {
  const point = recoveryPoint();
  return {
    ...point,
    files: files.map((name) => ({ name, sizeBytes: 1 })),
    configuration: { ...VmDefinition.parse(point.configuration), firmware },
  };
}

describe('planRestore', () => {
  it('brings a VM back as it was, at local paths', () => {
    const point = recoveryPoint();

    const plan = planVm(point, PLACE);

    expect(filesOf(plan)).toEqual(['/to/web-disk0.qcow2', '/to/web.json']);
    expect(plan.definition?.content).toMatchObject({
      id: point.vmId,
      name: 'web',
      disks: [{ id: point.disks[0]?.diskId, path: '/to/web-disk0.qcow2', format: 'qcow2' }],
      nics: [{ mac: '52:54:00:00:00:01' }],
    });
  });

  it('gives a VM under a new name new ids and MAC addresses', () => {
    const point = recoveryPoint();

    const plan = planVm(point, { ...PLACE, newName: 'web2', format: 'raw' });

    const content = plan.definition?.content;
    expect(filesOf(plan)).toEqual(['/to/web2-disk0.raw', '/to/web2.json']);
    expect(content?.name).toBe('web2');
    expect(content?.id).not.toBe(point.vmId);
    expect(content?.disks[0]?.id).not.toBe(point.disks[0]?.diskId);
    expect(content?.nics[0]?.mac).not.toBe('52:54:00:00:00:01');
  });

  it('restores one disk of a point whose definition is damaged', () => {
    const point = recoveryPoint({
      disks: [pointDisk(), pointDisk({ name: 'data', diskId: UUID })],
      configuration: 'damaged',
    });
    const target = { file: '/to/data.raw', format: 'raw' } as const;

    expect(filesOf(planDisk(point, 'data', target))).toEqual(['/to/data.raw']);
    expect(faultCode(() => planDisk(point, 'gone', target))).toBe('point.disk-unknown');
  });

  it('says which disks of the VM are not in the point', () => {
    const point = recoveryPoint({
      disks: [pointDisk(), pointDisk({ name: 'swap', diskId: UUID })],
    });

    const plan = planVm({ ...point, disks: [pointDisk()] }, PLACE);

    expect(plan.notes).toEqual(['Disk disk1 is not in the recovery point and was left out.']);
    expect(plan.definition?.content.disks).toHaveLength(1);
  });

  it.each([
    ['a disk name', recoveryPoint({ disks: [pointDisk({ name: '../x' })] })],
    ['a definition', recoveryPoint({ configuration: { name: 'x', qemuArguments: '-daemonize' } })],
  ])('refuses %s of a hostile vault', (_, point) => {
    expect(faultCode(() => planVm(point, PLACE))).toBe('point.definition-invalid');
  });

  it('never boots files that the vault names', () => {
    const kernel = withFirmware({
      kind: 'kernel',
      kernelPath: '/etc/shadow',
      commandLine: 'console=ttyS0',
    });
    const uefi = withFirmware({ kind: 'uefi', codePath: '/etc/shadow', nvramPath: '/x' }, [
      'nvram',
    ]);

    for (const point of [kernel, uefi]) {
      expect(faultCode(() => planVm(point, PLACE))).toBe('restore.firmware-not-chosen');
    }
    const plan = planVm(kernel, { ...PLACE, bootFiles: { kernelPath: '/boot/vmlinuz' } });
    expect(plan.definition?.content.firmware).toEqual({
      kind: 'kernel',
      kernelPath: '/boot/vmlinuz',
      commandLine: 'console=ttyS0',
    });
  });

  it('brings the variable store of a UEFI machine along', () => {
    const uefi = withFirmware({ kind: 'uefi', codePath: '/x', nvramPath: '/y' }, ['nvram']);

    const plan = planVm(uefi, { ...PLACE, bootFiles: { codePath: '/OVMF_CODE.fd' } });

    expect(filesOf(plan)).toEqual(['/to/web-disk0.qcow2', '/to/web-nvram.qcow2', '/to/web.json']);
    expect(plan.definition?.content.firmware).toEqual({
      kind: 'uefi',
      codePath: '/OVMF_CODE.fd',
      nvramPath: '/to/web-nvram.qcow2',
    });
  });
});
