import { randomUUID } from 'node:crypto';
import type { EngineUnderTest } from '../../contract/engine.contract.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import type { FakeEngine } from './fake-engine.ts';

const { signal } = new AbortController();

/** Defines a VM with two disks, `system` and `data`, and an excluded one. */
export function fakeVm(name: string, sizeBytes = 8 * MiB): VmDefinition {
  const disk = (diskName: string, excluded = false) => ({
    id: randomUUID(),
    name: diskName,
    path: `/fake/${diskName}`,
    format: 'raw',
    sizeBytes,
    excluded,
  });
  return VmDefinition.parse({
    id: randomUUID(),
    name,
    disks: [disk('system'), disk('data'), disk('swap', true)],
  });
}

/** What the engine's contract wants to be able to do to a VM behind the engine's back. */
export function fakeHands(
  engine: FakeEngine,
  vm: string,
): Pick<EngineUnderTest, 'fill' | 'writeCounted' | 'discard' | 'grow' | 'imageByte'> {
  return {
    fill: async (disk, { offset, length }, byte) => {
      engine.write(vm, disk, offset, new Uint8Array(length).fill(byte));
    },
    writeCounted: async () => {
      engine.countWrites(vm, 1, 5);
    },
    discard: async (disk, range) => {
      engine.zero(vm, disk, range);
    },
    grow: async (disk, sizeBytes) => engine.resize(vm, disk, sizeBytes, signal),
    imageByte: async (disk, { offset, length }) => {
      const bytes = new Uint8Array(length);
      await using reader = engine.read(vm, disk);
      await reader.read(offset, bytes, signal);
      return bytes.every((byte) => byte === bytes[0]) ? (bytes[0] ?? -1) : -1;
    },
  };
}
