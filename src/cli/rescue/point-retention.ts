import { formatBytes } from '../../kernel/bytes.ts';
import { Fault } from '../../kernel/fault.ts';
import { Holds, type Hold } from '../../vault/collect/holds.ts';
import { planPrune } from '../../vault/collect/prune-plan.ts';
import { retirePoints } from '../../vault/collect/retiring.ts';
import { revivePoint } from '../../vault/collect/reviving.ts';
import { listPoints } from '../../vault/collect/root-points.ts';
import { type RecoveryPoint } from '../../vault/recovery-point.ts';
import { type Vault } from '../../vault/vault.ts';
import { type Cli } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { plainText } from '../plain-text.ts';
import { count } from '../quantities.ts';
import { formatTable } from '../table.ts';
import { choosePoint } from './choose-point.ts';
import { pointDocument } from './point-list.ts';
import { withVault, type VaultKey } from './vault-access.ts';

export interface RetireOptions extends VaultKey {
  readonly vm?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export interface HoldOptions extends VaultKey {
  readonly vm?: string;
  readonly reason: string;
  readonly release?: boolean;
  readonly yes?: boolean;
}

/** Gives recovery points up. Their space comes back with the next `prune`. */
export async function retire(
  cli: Cli,
  asked: readonly string[],
  options: RetireOptions,
): Promise<Outcome> {
  return await withVault(cli, options, async (vault) => {
    const all = await vault.points(cli.signal);
    const points = asked.map((one) => choosePoint(all, one, options.vm));
    const names = [...new Map(points.map(({ vmId, id }) => [id, { vmId, id }])).values()];
    const plan = await planPrune(vault.inside, names, { youngMs: 0 }, { signal: cli.signal });
    const planned = new Map(plan.points.map((point) => [point.id, point.exclusiveBytes]));
    const rows = points.map((point) => rowOf(cli, point, planned.get(point.id)));
    const table = formatTable(
      [
        { title: 'POINT' },
        { title: 'VM' },
        { title: 'TAKEN' },
        { title: 'ALONE NEEDS', align: 'right' },
      ],
      rows,
    );
    const document = {
      points: points.map((point) => ({
        ...pointDocument(point),
        exclusiveBytes: planned.get(point.id),
      })),
      freedBytes: plan.removedBytes - plan.writtenBytes,
      retired: options.dryRun !== true,
    };
    const sum = `Together they free about ${formatBytes(document.freedBytes)}, with what was given up before.\n`;
    if (options.dryRun === true) {
      return { document, text: `${table}${sum}Nothing was changed.\n` };
    }
    cli.sayLines(table + sum);
    await cli.confirm(`Give up ${count(names.length, 'recovery point')}?`, options);
    await retirePoints(vault.inside, names, { signal: cli.signal });
    return {
      document,
      text: `${count(names.length, 'recovery point')} given up. "hyperkeep rescue prune" gives the space back; until then "hyperkeep rescue revive" brings one back.\n`,
    };
  });
}

function rowOf(cli: Cli, point: RecoveryPoint, exclusiveBytes = 0): string[] {
  return [point.id, point.vmName, cli.time(point.takenAtMs), formatBytes(exclusiveBytes)];
}

/** Holds a point, releases it, or without a point says which are held. */
export async function hold(
  cli: Cli,
  asked: string | undefined,
  options: HoldOptions,
): Promise<Outcome> {
  return await withVault(cli, options, async (vault) => {
    const { base, points, log, clock } = vault.inside;
    const holds = new Holds(base, log);
    if (asked === undefined) {
      return heldOutcome(cli, await holds.list(cli.signal));
    }
    if (options.release === true) {
      return await release(cli, holds, asked, { vault, yes: options.yes === true });
    }
    const { vmId, id } = choosePoint(await vault.points(cli.signal), asked, options.vm);
    const why = { reason: options.reason, atMs: clock.nowMs() };
    const held = await holds.hold(points, { vmId, id }, why, cli.signal);
    return {
      document: { hold: held },
      text: `${id} is held: nobody gives it up before the hold is released.\n`,
    };
  });
}

function heldOutcome(cli: Cli, holds: readonly Hold[]): Outcome {
  const rows = holds.map(({ id, vmId, atMs, reason }) => [id, vmId, cli.time(atMs), reason]);
  const columns = ['POINT', 'VM ID', 'SINCE', 'REASON'].map((title) => ({ title }));
  return {
    document: { holds },
    text: holds.length === 0 ? 'No recovery point is held.\n' : formatTable(columns, rows),
  };
}

async function release(
  cli: Cli,
  holds: Holds,
  asked: string,
  { vault, yes }: { readonly vault: Vault; readonly yes: boolean },
): Promise<Outcome> {
  const prefix = asked.toUpperCase();
  const found = (await holds.list(cli.signal)).filter(({ id }) => id.startsWith(prefix));
  const ids = new Set(found.map(({ id }) => id));
  if (ids.size !== 1) {
    throw new Fault(
      'point.unknown',
      ids.size === 0
        ? `No recovery point that is held starts with ${asked}. See: hyperkeep rescue hold`
        : `${String(ids.size)} recovery points that are held start with ${asked}. Type more of the id.`,
      { point: asked },
    );
  }
  for (const { reason } of found) {
    cli.sayLines(`Held: ${plainText(reason)}\n`);
  }
  await cli.confirm('Release it? It can be given up then.', { yes });
  for (const one of found) {
    await holds.release(one, vault.inside.clock.nowMs(), cli.signal);
  }
  return { document: { released: found }, text: `${[...ids].join('')} is not held any more.\n` };
}

/** Brings a retired point back, as a new one. Without a point: says which can be tried. */
export async function revive(
  cli: Cli,
  asked: string | undefined,
  options: VaultKey,
): Promise<Outcome> {
  return await withVault(cli, options, async (vault) => {
    const { inside } = vault;
    const holds = new Holds(inside.base, inside.log);
    const listing = await listPoints(inside, holds, cli.signal);
    const retired = listing.dead.filter(({ isSealed }) => isSealed);
    if (asked === undefined) {
      const lines = retired.map(({ id, vmId }) => `${id}  ${vmId}\n`);
      return {
        document: { retired: retired.map(({ id, vmId }) => ({ id, vmId })) },
        text: lines.length === 0 ? 'No recovery point waits for its removal.\n' : lines.join(''),
      };
    }
    const found = retired.filter(({ id }) => id.startsWith(asked.toUpperCase()));
    const [point, another] = found;
    if (point === undefined || another !== undefined) {
      throw new Fault(
        'point.unknown',
        `${found.length === 0 ? 'No' : 'More than one'} recovery point that was given up starts with ${asked}. See: hyperkeep rescue revive`,
        { point: asked },
      );
    }
    const revived = await revivePoint(inside, point, {}, { signal: cli.signal });
    return {
      document: { point: pointDocument(revived), revived: point.id },
      text: `${point.id} of ${plainText(revived.vmName)} is back as ${revived.id}.\n`,
    };
  });
}
