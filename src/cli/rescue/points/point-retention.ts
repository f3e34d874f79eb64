import { Holds, type Hold } from '../../../vault/points/holds.ts';
import { holdsOn, retiredPoint, retiredPoints } from '../../../vault/retention/named-points.ts';
import { planRetirement } from '../../../vault/retention/retirement-plan.ts';
import { retirePoints } from '../../../vault/retention/retiring.ts';
import { revivePoint } from '../../../vault/retention/reviving.ts';
import type { Vault } from '../../../vault/vault.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count } from '../../terminal/quantities.ts';
import { holdsText, retiredText, retirementPlanText } from '../../vault-text/retention-text.ts';
import { choosePoint, withoutGivenUp } from '../../options/choose-point.ts';
import type { WhichVm } from '../../options/which-vm.ts';
import { pointDocument } from './point-list.ts';
import { withVault, type VaultKey } from '../vault-access.ts';

export interface RetireOptions extends VaultKey, WhichVm {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export interface HoldOptions extends VaultKey, WhichVm {
  readonly reason: string;
  readonly release?: boolean;
  readonly yes?: boolean;
}

/** Gives recovery points up. The next `prune` frees their space. */
export async function retire(
  cli: Cli,
  asked: readonly string[],
  options: RetireOptions,
): Promise<Outcome> {
  return await withVault(cli, options, async (vault) => {
    const all = await vault.points(cli.signal);
    const givenUp = await vault.inside.points.retired(cli.signal);
    const { left, before } = withoutGivenUp(asked, all, givenUp);
    if (left.length === 0) {
      return {
        document: { points: [], retired: true, before },
        text: 'All of them were given up before.\n',
      };
    }
    const points = left.map((one) => choosePoint(all, one, options));
    using meter = cli.meter();
    const running = { signal: cli.signal, report: meter.report };
    const plan = await planRetirement(vault.inside, points, running);
    const names = plan.points.map(({ vmId, id }) => ({ vmId, id }));
    const document = { ...plan, retired: options.dryRun !== true, before };
    const text = `${retirementPlanText(plan, (timeMs) => cli.time(timeMs))}${beforeText(before)}`;
    if (options.dryRun === true) {
      return { document, text: `${text}Nothing was changed.\n` };
    }
    cli.sayLines(text);
    await cli.confirm(`Give up ${count(names.length, 'recovery point')}?`, options);
    await retirePoints(vault.inside, names, { signal: cli.signal });
    return {
      document,
      text: `${count(names.length, 'recovery point')} given up. "hyperkeep rescue prune" gives the space back; until then "hyperkeep rescue revive" brings one back.\n`,
    };
  });
}

function beforeText(before: readonly string[]): string {
  return before.length === 0 ? '' : `Given up before: ${plainText(before.join(', '))}\n`;
}

/** Holds a point or releases it; without a point lists those that are held. */
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
    const { vmId, id } = choosePoint(await vault.points(cli.signal), asked, options);
    const why = { reason: options.reason, atMs: clock.nowMs() };
    const held = await holds.hold(points, { vmId, id }, why, cli.signal);
    return {
      document: { hold: held },
      text: `${id} is held: nobody gives it up before the hold is released.\n`,
    };
  });
}

function heldOutcome(cli: Cli, holds: readonly Hold[]): Outcome {
  const shown = holds.map(({ id, ...hold }) => ({ ...hold, pointId: id }));
  return { document: { holds }, text: holdsText(shown, (timeMs) => cli.time(timeMs)) };
}

async function release(
  cli: Cli,
  holds: Holds,
  asked: string,
  { vault, yes }: { readonly vault: Vault; readonly yes: boolean },
): Promise<Outcome> {
  const found = await holdsOn(vault.inside, asked, cli.signal);
  for (const { reason } of found) {
    cli.sayLines(`Held: ${plainText(reason)}\n`);
  }
  await cli.confirm('Release it? It can be given up then.', { yes });
  for (const one of found) {
    await holds.release(one, vault.inside.clock.nowMs(), cli.signal);
  }
  const ids = new Set(found.map(({ id }) => id));
  return { document: { released: found }, text: `${[...ids].join('')} is not held any more.\n` };
}

/** Brings a retired point back as a new one. Without a point lists those that can be tried. */
export async function revive(
  cli: Cli,
  asked: string | undefined,
  options: VaultKey,
): Promise<Outcome> {
  return await withVault(cli, options, async (vault) => {
    const { inside } = vault;
    if (asked === undefined) {
      const retired = (await retiredPoints(inside, cli.signal)).map(({ id, vmId }) => ({
        id,
        vmId,
      }));
      return {
        document: { retired },
        text: retiredText(retired.map(({ id, vmId }) => ({ pointId: id, vmId }))),
      };
    }
    const point = await retiredPoint(inside, asked, cli.signal);
    const revived = await revivePoint(inside, point, {}, { signal: cli.signal });
    return {
      document: { point: pointDocument(revived), revived: point.id },
      text: `${point.id} of ${plainText(revived.vmName)} is back as ${revived.id}.\n`,
    };
  });
}
