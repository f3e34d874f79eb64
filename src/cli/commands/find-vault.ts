import type { VaultSummary } from '../../api/contract/vaults.ts';
import { ID_CHARACTERS_MIN } from '../../kernel/text/by-prefix.ts';
import { Fault } from '../../kernel/fault.ts';
import { pointsOf } from '../options/choose-point.ts';
import type { Cli } from '../cli.ts';
import type { WhichVm } from '../options/which-vm.ts';

export interface VaultAsked extends WhichVm {
  readonly vault?: string;
}

interface Kept {
  readonly vault: string;
  readonly pointId: string;
}

/**
 * Finds the vault that is meant: the one that was named, the only one, or the only one with the
 * points that were asked for.
 *
 * @param asked ids, their beginnings, or `latest`
 * @throws Fault `vault.not-chosen`
 */
export async function findVault(
  cli: Cli,
  which: VaultAsked,
  asked: readonly string[] = [],
): Promise<string> {
  return await meantVault(cli, which, asked, async () => {
    const { points } = await (await cli.service()).call('listPoints', {}, cli.signal);
    const isOfVm = which.vm !== undefined || which.vmId !== undefined;
    const latest = isOfVm && asked.some(isLatest) ? [{ id: 'latest' }] : [];
    return pointsOf(points, which).flatMap(({ vaultName: vault, id }) =>
      [{ id }, ...latest].map((named) => ({ vault, pointId: named.id })),
    );
  });
}

/** Finds the vault of points that were given up: only the vaults know them, not the catalog. */
export async function findVaultOfRetired(
  cli: Cli,
  which: VaultAsked,
  asked: readonly string[],
): Promise<string> {
  return await meantVault(cli, which, asked, async (vaults) => {
    const service = await cli.service();
    const kept: Kept[] = [];
    for (const { name: vault } of vaults) {
      const { points } = await service.call('listRetired', { path: { vault } }, cli.signal);
      kept.push(...points.map(({ pointId }) => ({ vault, pointId })));
    }
    return kept;
  });
}

async function meantVault(
  cli: Cli,
  { vault }: VaultAsked,
  asked: readonly string[],
  keptPoints: (vaults: readonly VaultSummary[]) => Promise<readonly Kept[]>,
): Promise<string> {
  if (vault !== undefined) {
    return vault;
  }
  const { vaults } = await (await cli.service()).call('listVaults', {}, cli.signal);
  const [first, ...others] = vaults;
  if (first === undefined) {
    throw new Fault(
      'vault.not-chosen',
      'The service knows no vault. Make one with "hyperkeep vault create", or make one that exists known with "hyperkeep vault add".',
    );
  }
  if (others.length === 0) {
    return first.name;
  }
  const holding = asked.length === 0 ? [] : withAll(vaults, asked, await keptPoints(vaults));
  const [only, ...more] = holding;
  if (only === undefined || more.length > 0) {
    throw notTold(vaults, asked, holding);
  }
  return only;
}

function notTold(
  vaults: readonly VaultSummary[],
  asked: readonly string[],
  holding: readonly string[],
): Fault {
  const known = vaults.map(({ name }) => name).join(', ');
  const what = asked.join(', ');
  if (asked.length === 0) {
    return new Fault(
      'vault.not-chosen',
      `The service knows several vaults (${known}). Say which with --vault.`,
    );
  }
  return new Fault(
    'vault.not-chosen',
    holding.length === 0
      ? `No vault that the service knows (${known}) is known to have ${what}. Look with "hyperkeep points --refresh", or name the vault with --vault.`
      : `Several vaults have ${what} (${holding.join(', ')}). Say in which with --vault.`,
  );
}

/** Returns the names of the vaults with a point for every word. */
function withAll(
  vaults: readonly VaultSummary[],
  asked: readonly string[],
  kept: readonly Kept[],
): string[] {
  const holds = (vault: string, word: string): boolean =>
    word.length >= ID_CHARACTERS_MIN &&
    kept.some(
      (one) => one.vault === vault && one.pointId.toUpperCase().startsWith(word.toUpperCase()),
    );
  return vaults.map(({ name }) => name).filter((name) => asked.every((word) => holds(name, word)));
}

function isLatest(word: string): boolean {
  return word.toLowerCase() === 'latest';
}
