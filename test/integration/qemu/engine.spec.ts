import { describeEngine } from '../../contract/engine.contract.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

describeEngine('QemuEngine', async () => {
  const lab = await QemuLab.create();
  let engine = lab.engine();
  return {
    engine,
    definition: lab.definition,
    fill: async (disk, range, byte) => lab.fill(disk, range, byte),
    writeCounted: async (disk, range) => lab.writeCounted(disk, range),
    discard: async (disk, range) => lab.discard(disk, range),
    grow: async (disk, sizeBytes) => lab.grow(disk, sizeBytes),
    imageByte: async (disk, range) => lab.imageByte(disk, range),
    restartService: async () => {
      await engine.close();
      engine = lab.engine();
      return engine;
    },
    crashHost: async () => {
      await lab.killQemu();
      await engine.close();
      engine = lab.engine();
      return engine;
    },
    [Symbol.asyncDispose]: async () => lab[Symbol.asyncDispose](),
  };
});
