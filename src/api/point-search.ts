import { Injectable } from '@nestjs/common';
import type { CataloguedPoint } from '../catalog/rows/recovery-point.row.ts';
import { PointCatalog } from '../catalog/point-catalog.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { VaultRegistration } from '../catalog/vault-registrations.ts';
import {
  ID_CHARACTERS_BESIDE_NAMES,
  ID_CHARACTERS_MIN,
  onlyStarting,
} from '../kernel/text/by-prefix.ts';
import { Fault } from '../kernel/fault.ts';

export interface FoundPoint {
  readonly vault: VaultRegistration;
  readonly point: CataloguedPoint;
}

interface Asked {
  readonly vault?: string | undefined;
  readonly point?: string | undefined;
  readonly vm?: string | undefined;
  /** Always an id, whatever VMs are called. */
  readonly vmId?: string | undefined;
}

/** Finds recovery points by what people call them. */
@Injectable()
export class PointSearch {
  constructor(
    private readonly vaults: RegisteredVaults,
    private readonly points: PointCatalog,
  ) {}

  /**
   * Finds the point with this id or the only one whose id begins so, or the newest of a VM. Looks
   * in the vaults for a point that the catalog does not know, because another program may have made
   * it.
   * @throws Fault `point.unknown`, `vm.ambiguous`
   */
  async find(asked: Asked, signal: AbortSignal): Promise<FoundPoint> {
    const isVm = asked.vm !== undefined || asked.vmId !== undefined;
    if ((asked.point !== undefined) === isVm) {
      throw new Fault('request.invalid', 'Name either a recovery point or a VM.');
    }
    const known = await this.search(asked);
    if (known !== undefined) {
      return known;
    }
    await this.refresh(asked.vault, signal);
    const found = await this.search(asked);
    if (found === undefined) {
      const what = asked.point ?? `of the VM ${asked.vmId ?? asked.vm ?? ''}`;
      throw new Fault(
        'point.unknown',
        `There is no recovery point ${what} in the registered vaults; points shows those there are.`,
      );
    }
    return found;
  }

  /** Brings the catalog up to date with one vault, or with all. */
  async refresh(vault: string | undefined, signal: AbortSignal): Promise<void> {
    const vaults =
      vault === undefined ? await this.vaults.list() : [await this.vaults.choose(vault)];
    for (const { id } of vaults) {
      await this.vaults.sync(id, signal);
    }
  }

  /**
   * Returns the ids of the VMs that are meant: those with this id, or with this name in any point.
   */
  async vmIds({ vm: idOrName, vmId }: Pick<Asked, 'vm' | 'vmId'>): Promise<string[] | undefined> {
    if (vmId !== undefined) {
      return this.vmIdsStarting(vmId, ID_CHARACTERS_MIN);
    }
    if (idOrName === undefined) {
      return undefined;
    }
    const named = await this.points.vmIdsNamed(idOrName);
    return named.length > 0
      ? named
      : this.vmIdsStarting(idOrName.toLowerCase(), ID_CHARACTERS_BESIDE_NAMES);
  }

  /** @throws Fault `request.invalid` if several ids begin so */
  private async vmIdsStarting(prefix: string, charactersMin: number): Promise<string[]> {
    const ids = (await this.points.vmIdsStarting(prefix)).map((id) => ({ id }));
    return [onlyStarting(ids, prefix, charactersMin)?.id ?? prefix];
  }

  private async search({ vault, point, ...which }: Asked): Promise<FoundPoint | undefined> {
    const wanted = vault === undefined ? undefined : (await this.vaults.choose(vault)).id;
    const all = point === undefined ? await this.ofVm(which) : await this.points.find(point);
    const found = all.filter(({ vaultId }) => wanted === undefined || vaultId === wanted);
    if (point !== undefined) {
      const ids = new Set(found.map(({ point: { id } }) => id));
      onlyStarting(
        [...ids].map((id) => ({ id })),
        point,
      );
    }
    const newest = found.at(-1);
    if (newest === undefined) {
      return undefined;
    }
    return { vault: await this.vaults.choose(newest.vaultId), point: newest.point };
  }

  private async ofVm(which: Pick<Asked, 'vm' | 'vmId'>): ReturnType<PointCatalog['list']> {
    const [vmId, ...others] = (await this.vmIds(which)) ?? [];
    if (vmId === undefined) {
      return [];
    }
    if (others.length > 0) {
      throw new Fault(
        'vm.ambiguous',
        `Several VMs were called ${which.vm ?? ''}: ids ${[vmId, ...others].join(', ')}. Name one by its id (vmId, --vm-id), or name the recovery point.`,
        { vms: others.length + 1 },
      );
    }
    return this.points.list({ vmId });
  }
}
