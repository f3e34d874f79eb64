import { createHash } from 'node:crypto';
import { Fault } from '../../kernel/fault.ts';
import type { CredentialsFor, StoreRole } from '../vault-credentials.ts';
import { addCommand, type VaultRegistration } from '../vault-registrations.ts';

/** What a job needs of a vault: its key, and the rights of a role at its store. */
export interface VaultNeed {
  readonly vaultId: string;
  readonly role: StoreRole;
}

/** The vaults of which a host has the key, by id, and for which roles it has credentials. */
export type HeldVaults = Readonly<Record<string, readonly CredentialsFor[]>>;

/** A host, as far as it matters who can do what in vaults. */
export interface ReachingHost {
  readonly id: string;
  readonly name: string;
  /** Whether it was seen a moment ago. */
  readonly isLive: boolean;
  readonly vaults: HeldVaults;
}

/** Who of the hosts that share a database can do what in vaults. */
export class VaultReach {
  constructor(
    private readonly hostId: string,
    private readonly hosts: readonly ReachingHost[],
    private readonly vaults: readonly VaultRegistration[],
  ) {}

  /**
   * Whether this host should do it: it has the keys, and no other one that lives has more of the
   * credentials for just these roles. A host without those of a role uses those for any, or what
   * its surroundings have, and nobody knows what these allow.
   *
   * @param isSteady whether it should be the same host each time, as long as that one lives
   */
  isFor(needs: readonly VaultNeed[], isSteady = false): boolean {
    const able = this.hosts.filter((host) => host.isLive && hasKeys(host, needs));
    const most = Math.max(...able.map((host) => rolesOf(host, needs)));
    const best = able.filter((host) => rolesOf(host, needs) === most).map(({ id }) => id);
    return isSteady ? steady(best, needs) === this.hostId : best.includes(this.hostId);
  }

  /** Returns why no host can do it now; undefined if one can. */
  problem(needs: readonly VaultNeed[]): Fault | undefined {
    const unknown = needs.find(({ vaultId }) => this.vaults.every(({ id }) => id !== vaultId));
    if (unknown !== undefined) {
      const { vaultId } = unknown;
      return new Fault('vault.unknown', `The vault ${vaultId} is not registered any more.`, {
        vault: vaultId,
      });
    }
    const able = this.hosts.filter((host) => hasKeys(host, needs));
    return able.some(({ isLive }) => isLive) ? undefined : this.keyMissing(needs, able);
  }

  private keyMissing(needs: readonly VaultNeed[], silent: readonly ReachingHost[]): Fault {
    const wanted = this.vaults.filter(({ id }) => needs.some(({ vaultId }) => vaultId === id));
    const of = `${wanted.length > 1 ? 'keys of the vaults' : 'key of the vault'} ${wanted
      .map(({ name }) => name)
      .join(' and ')}`;
    const hosts = silent.map(({ name }) => name).join(', ');
    const who =
      silent.length === 0
        ? ''
        : ` The host ${hosts} has, and is silent: start its service, or use another host.`;
    const commands = wanted.map(addCommand).join(', ');
    return new Fault(
      'vault.key-missing',
      `No host that is there has the ${of}.${who} A host gets it with the passphrase: ${commands}`,
      { vault: wanted.map(({ name }) => name).join(', '), ...(hosts === '' ? {} : { hosts }) },
    );
  }
}

function hasKeys({ vaults }: ReachingHost, needs: readonly VaultNeed[]): boolean {
  return needs.every(({ vaultId }) => vaults[vaultId] !== undefined);
}

/** Returns for how many of the needs the host has credentials of just that role. */
function rolesOf({ vaults }: ReachingHost, needs: readonly VaultNeed[]): number {
  return needs.filter(({ vaultId, role }) => vaults[vaultId]?.includes(role)).length;
}

/** Returns one of the hosts, and another one only if it is not among them. */
function steady(ids: readonly string[], needs: readonly VaultNeed[]): string | undefined {
  const vaults = needs.map(({ vaultId }) => vaultId).join(' ');
  const rank = (id: string): string => createHash('sha256').update(`${vaults} ${id}`).digest('hex');
  return ids.map((id) => ({ id, rank: rank(id) })).sort((a, b) => (a.rank < b.rank ? -1 : 1))[0]
    ?.id;
}
