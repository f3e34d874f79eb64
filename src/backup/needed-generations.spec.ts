import type { PointOfVault } from '../catalog/point-catalog.ts';
import { neededGenerations } from './needed-generations.ts';

const newest = (disks: object[]) => ({ vaultId: 'v', point: { disks } }) as unknown as PointOfVault;
const disk = (diskId: string, generation: number) => ({
  diskId,
  tracking: { id: 't', generation },
});

describe('neededGenerations', () => {
  it('keeps what the vault that is furthest behind starts from', () => {
    const needed = neededGenerations([
      newest([disk('a', 9), disk('b', 2)]),
      newest([disk('a', 5), { diskId: 'c' }]),
    ]);

    expect(needed).toEqual({ a: 5, b: 2 });
  });

  it('names no disk when no vault has the VM, so that nothing is pruned', () => {
    expect(neededGenerations([])).toEqual({});
  });
});
