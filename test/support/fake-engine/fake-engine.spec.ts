import { randomUUID } from 'node:crypto';
import { describeEngine } from '../../contract/engine.contract.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from './fake-engine.ts';

const { signal } = new AbortController();

function definition(): VmDefinition {
  const disk = (name: string, excluded = false) => ({
    id: randomUUID(),
    name,
    path: `/fake/${name}`,
    format: 'raw',
    sizeBytes: 8 * MiB,
    excluded,
  });
  return VmDefinition.parse({
    id: randomUUID(),
    name: 'fake-vm',
    disks: [disk('system'), disk('data'), disk('swap', true)],
  });
}

describeEngine('FakeEngine', async () => {
  const engine = new FakeEngine();
  const vm = definition();
  return {
    engine,
    definition: vm,
    fill: async (disk, { offset, length }, byte) => {
      engine.write(vm.id, disk, offset, new Uint8Array(length).fill(byte));
    },
    writeCounted: async () => {
      engine.countWrites(vm.id, 1, 5);
    },
    discard: async (disk, range) => {
      engine.zero(vm.id, disk, range);
    },
    grow: async (disk, sizeBytes) => engine.resize(vm.id, disk, sizeBytes, signal),
    imageByte: async (disk, { offset, length }) => {
      const bytes = new Uint8Array(length);
      await using reader = engine.read(vm.id, disk);
      await reader.read(offset, bytes, signal);
      return bytes.every((byte) => byte === bytes[0]) ? (bytes[0] ?? -1) : -1;
    },
    restartService: async () => engine,
    crashHost: async () => {
      engine.setStatus(vm.id, 'stopped');
      return engine;
    },
    [Symbol.asyncDispose]: async () => engine.close(),
  };
});

describe('FakeEngine', () => {
  it('gives what a test set: NVRAM, lost tracking, lost changes, a failing freeze', async () => {
    const engine = new FakeEngine();
    const vm = definition();
    await engine.add(vm, signal);
    await engine.start(vm.id, signal);
    engine.setNvram(vm.id, Uint8Array.of(1, 2));
    const freeze = async () => engine.freeze(vm.id, { jobToken: 'job' }, signal);

    const first = await freeze();
    await first[Symbol.asyncDispose]();
    expect(first.nvram).toEqual(Uint8Array.of(1, 2));
    expect(first.consistency).toBe('filesystem');

    engine.forgetChanges(vm.id, 'data');
    engine.replaceTracking(vm.id, 'system');
    const second = await freeze();
    const third = await second[Symbol.asyncDispose]().then(freeze);
    expect(engine.frozen).toBe(1);
    const reasons = await Promise.all(
      third.disks.map(async (disk, index) => disk.changedSince(first.disks[index]?.tracking)),
    );
    expect(reasons[0]).toEqual({ method: 'full', reason: 'tracking-replaced' });
    expect(reasons[1]).toEqual({ method: 'changed-extents', extents: [] });
    await third[Symbol.asyncDispose]();

    engine.failNextFreeze(new Error('as told'));
    await expect(freeze()).rejects.toThrow('as told');
    expect(engine.frozen).toBe(0);
  });
});
