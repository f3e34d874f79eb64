import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LoopMount } from '../../support/guest/loop-mount.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const { signal } = new AbortController();

describe('Destroying a VM', () => {
  it('whose image somebody removed removes the rest', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    rmSync(lab.image('data'));

    await engine.destroy(lab.vm, signal);

    expect(existsSync(lab.image('system'))).toBe(false);
    expect(await engine.ids()).toEqual([]);
  });

  const mounted = LoopMount.make();
  if (typeof mounted === 'string') {
    it.skip(`on a disk that is unmounted (nobody may mount here: ${mounted})`, () => undefined);
    return;
  }
  afterAll(() => {
    mounted[Symbol.dispose]();
  });

  it('whose disk is not mounted is refused and removes nothing, until it is there or given up', async () => {
    await using lab = await QemuLab.create([
      { name: 'system', format: 'qcow2' },
      { name: 'data', format: 'raw', place: mounted.path },
    ]);
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    mounted.unmount();

    await expect(engine.destroy(lab.vm, signal)).rejects.toMatchObject({
      code: 'engine.image-missing',
      message: expect.stringContaining('Nothing was removed') as string,
    });
    expect(existsSync(lab.image('system'))).toBe(true);
    expect(await engine.ids()).toEqual([lab.vm]);

    mounted.mount();
    expect(readdirSync(mounted.path)).toContain('data.raw');
    await engine.destroy(lab.vm, signal);
    expect(existsSync(join(mounted.path, 'data.raw'))).toBe(false);

    await engine.add(
      await remade(lab, () => {
        writeFileSync(lab.image('data'), Buffer.alloc(8 * 1024 * 1024));
      }),
      signal,
    );
    mounted.unmount();
    writeFileSync(lab.image('data'), '');
    await engine.destroy(lab.vm, signal);
    expect(await engine.ids()).toEqual([]);
    mounted.mount();
  });
});

/** The definition of the lab's VM, whose images were made again, both raw. */
async function remade(lab: QemuLab, makeData: () => void): Promise<QemuLab['definition']> {
  makeData();
  writeFileSync(lab.image('system'), Buffer.alloc(8 * 1024 * 1024));
  const disks = lab.definition.disks.map((disk) => ({ ...disk, format: 'raw' as const }));
  return { ...lab.definition, disks };
}
