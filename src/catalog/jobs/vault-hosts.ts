import { isDeepStrictEqual } from 'node:util';
import type { DataSource } from 'typeorm';
import type { Clock } from '../../kernel/clock.ts';
import type { HostIdentity } from '../../kernel/host-identity.ts';
import { isFault } from '../../kernel/fault.ts';
import { HOST_LATE_MS } from '../inventory-rows.ts';
import type { RegisteredVaults } from '../registered-vaults.ts';
import { HostRow } from '../rows/host.row.ts';
import type { VaultRegistration } from '../vault-registrations.ts';
import { VaultReach, type HeldVaults } from './vault-reach.ts';

/** What the hosts say in the database of the vaults they can use. Secrets stay in their homes. */
export class VaultHosts {
  constructor(
    private readonly source: DataSource,
    private readonly vaults: Pick<RegisteredVaults, 'list' | 'hasKey' | 'credentialsOf'>,
    private readonly host: Pick<HostIdentity, 'id' | 'name'>,
    private readonly clock: Clock,
  ) {}

  /**
   * Writes down what this host can use now, if that is new, and returns what all can. Call it now
   * and then: the others believe what was written last.
   */
  async look(): Promise<VaultReach> {
    const registered = await this.vaults.list();
    const own = await this.held(registered);
    const rows = this.source.getRepository(HostRow);
    const hosts = await rows.find();
    const before = hosts.find(({ id }) => id === this.host.id)?.vaults;
    if (before !== undefined && !isDeepStrictEqual(before, own)) {
      await rows.update({ id: this.host.id }, { vaults: own });
    }
    const nowMs = this.clock.nowMs();
    // A clock that was set back says nothing of who lives: then this host relies on itself.
    const others = hosts
      .filter(({ id }) => id !== this.host.id)
      .map(({ id, name, lastSeenMs, vaults }) => ({
        ...{ id, name, vaults, isLive: Math.abs(nowMs - lastSeenMs) <= HOST_LATE_MS },
      }));
    const { id, name } = this.host;
    return new VaultReach(id, [{ id, name, vaults: own, isLive: true }, ...others], registered);
  }

  private async held(registered: readonly VaultRegistration[]): Promise<HeldVaults> {
    const held: Record<string, HeldVaults[string]> = {};
    for (const { id } of registered) {
      try {
        if (await this.vaults.hasKey(id)) {
          held[id] = (await this.vaults.credentialsOf(id)).map(({ role }) => role);
        }
      } catch (error) {
        // A secret that cannot be read is of no use here; whoever needs it is told why.
        if (!isFault(error)) {
          throw error;
        }
      }
    }
    return held;
  }
}
