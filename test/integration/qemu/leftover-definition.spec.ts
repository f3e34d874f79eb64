import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const { signal } = new AbortController();

describe('A VM that is destroyed', () => {
  it('takes the definition beside its images with it, and no other file of that name', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    const [disk] = lab.definition.disks;
    const path = join(dirname(disk?.path ?? ''), `${lab.definition.name}.json`);
    const other = VmDefinition.parse({
      ...lab.definition,
      disks: lab.definition.disks.map((one) => ({ ...one, path: `${one.path}-other` })),
    });
    const contents = [lab.definition, other, { note: 'mine' }].map((one) => JSON.stringify(one));
    const kept: boolean[] = [];
    for (const content of [...contents, 'no JSON']) {
      for (const { path: image, sizeBytes } of lab.definition.disks) {
        writeFileSync(image, '');
        truncateSync(image, sizeBytes);
      }
      const raw = lab.definition.disks.map((one) => ({ ...one, format: 'raw' }));
      await engine.add(VmDefinition.parse({ ...lab.definition, disks: raw }), signal);
      writeFileSync(path, content);
      await engine.destroy(lab.vm, signal);
      kept.push(existsSync(path));
    }

    expect(kept).toEqual([false, true, true, true]);
  });
});

describe('A raw image that is no whole sectors', () => {
  it('is refused with the command that mends it, which then works', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    const image = join(lab.folder, 'odd.raw');
    writeFileSync(image, Buffer.alloc(1_000_001, 1));
    const [first] = lab.definition.disks;
    const disks = [{ ...first, path: image, format: 'raw', sizeBytes: 1_000_448 }];
    const definition = VmDefinition.parse({ ...lab.definition, disks });

    await expect(engine.add(definition, signal)).rejects.toMatchObject({
      code: 'engine.image-refused',
      message: expect.stringContaining(`truncate -s 1000448 ${image}`) as string,
    });
    truncateSync(image, 1_000_448);
    await engine.add(definition, signal);
  });
});
