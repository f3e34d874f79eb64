import { Option, type Command } from 'commander';
import { resolve } from 'node:path';
import type { CopyPlaceInput } from '../../api/contract/upkeep.ts';
import { parseBytes, parseShare } from '../terminal/amounts.ts';
import type { Cli } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { pruneRules, withPruneRules, type PruneRuleOptions } from '../options/prune-rules.ts';
import { RATE_OPTION, rateLimitsOf, type RateOptions } from '../options/rate-option.ts';
import { limitsOf, withLimitOptions, type LimitOptions } from '../options/spending-limits.ts';
import { isWorthPruning } from '../vault-text/prune-text.ts';
import { isWorthRepairing } from '../vault-text/repair-text.ts';
import { endedJob, runJob, withWait, type JobCall, type WaitOptions } from './job-run.ts';
import { jobResultText } from './job-text.ts';

type UpkeepOptions = WaitOptions & LimitOptions;

interface PlannedOptions extends UpkeepOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

interface ScrubOptions extends UpkeepOptions {
  readonly share?: string;
  readonly budget?: string;
  readonly all?: boolean;
  readonly depth: 'frames' | 'ids';
}

interface PlaceOptions {
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly singleWriter?: boolean;
}

interface CopyOptions extends UpkeepOptions, PlaceOptions, RateOptions {
  readonly readBack?: boolean;
  readonly prune?: boolean;
  readonly thesePointsAreGone?: readonly string[];
  readonly theseObjectsAreGone?: readonly string[];
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

interface RepairOptions extends PlannedOptions {
  readonly copy?: string;
  readonly copyEndpoint?: string;
  readonly copyRegion?: string;
  readonly copyProfile?: string;
  readonly overwrite?: boolean;
}

/** Adds the commands that care for a vault by jobs of the service. */
export function addUpkeepCommands(vault: Command, cli: Cli): void {
  const job = (name: string, description: string): Command =>
    withWait(
      withLimitOptions(
        vault.command(name).description(description).argument('<vault>', 'name or id'),
      ),
    );
  job('probe', 'try what the store can do, and keep it with the vault').action(
    async (name: string, options: UpkeepOptions) => {
      const body = { limits: limitsOf(options) };
      await cli.answer(options, runJob(cli, { route: 'probeVault', vault: name, body }, options));
    },
  );
  job('usage', 'what recovery points take and would free, ratios, growth').action(
    async (name: string, options: UpkeepOptions) => {
      const body = { limits: limitsOf(options) };
      await cli.answer(options, runJob(cli, { route: 'measureVault', vault: name, body }, options));
    },
  );
  withPruneRules(job('prune', 'give back the space of points that were given up'))
    .option('--dry-run', 'say what would be done, and stop')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: PlannedOptions & PruneRuleOptions) => {
      await cli.answer(options, prune(cli, name, options));
    });
  job('scrub', 'read a share of the vault, longest unchecked first, and prove it')
    .option('--share <part>', 'of the vault: 1/30 (default), 10%')
    .option('--budget <amount>', 'bytes to read')
    .option('--all', 'the whole vault')
    .addOption(
      new Option('--depth <how>', 'frames: decrypt all; ids: also compute every chunk id')
        .choices(['frames', 'ids'])
        .default('ids'),
    )
    .action(async (name: string, options: ScrubOptions) => {
      const body = scrubRequest(options);
      await cli.answer(options, runJob(cli, { route: 'scrubVault', vault: name, body }, options));
    });
  addCopy(job, cli);
  addRepair(job, cli);
  job('keep', 'extend the locks of what recovery points need')
    .option('--everything', 'also what is not due')
    .action(async (name: string, options: UpkeepOptions & { everything?: boolean }) => {
      const body = { limits: limitsOf(options), everything: options.everything === true };
      await cli.answer(options, runJob(cli, { route: 'keepLocks', vault: name, body }, options));
    });
}

type AddJob = (name: string, description: string) => Command;

function addCopy(job: AddJob, cli: Cli): void {
  job('copy', 'make or refresh a copy of the vault at another place')
    .argument('<destination>', 'a folder or s3://bucket/prefix, as the service reaches it')
    .option('--endpoint <url>', 'an S3 service that is not AWS')
    .option('--region <name>', 'region of the bucket')
    .option('--profile <name>', "profile of the AWS settings of the service's user")
    .option('--single-writer', 'accept a network file system or a caching store')
    .option(...RATE_OPTION)
    .option('--read-back', 'read every object back from the copy and compare it')
    .option('--prune', 'then remove from the copy what a prune has removed from the vault')
    .option(
      '--these-points-are-gone <ids...>',
      'for --prune: go on without these points, which should be in the copy and are lost for good',
    )
    .option(
      '--these-objects-are-gone <names...>',
      'for --prune: the same for aliases and holds of the copy',
    )
    .option('--yes', 'do not ask')
    .option('--dry-run', 'say what would be copied and what it would cost, and stop')
    .action(async (name: string, destination: string, options: CopyOptions) => {
      await cli.answer(options, copy(cli, name, destination, options));
    });
}

async function copy(
  cli: Cli,
  vault: string,
  destination: string,
  options: CopyOptions,
): Promise<Outcome> {
  const { readBack, dryRun, prune, thesePointsAreGone, theseObjectsAreGone } = options;
  if (prune === true && dryRun !== true) {
    const question = `Remove from ${destination} what the vault has given up, when all is copied?`;
    await cli.confirm(question, options);
  }
  const body = {
    dryRun: dryRun === true,
    limits: limitsOf(options),
    to: placeOf(cli, destination, options),
    readBack: readBack === true,
    prune: prune === true,
    ...pruneRules({
      ...(thesePointsAreGone && { thesePointsAreGone }),
      ...(theseObjectsAreGone && { theseObjectsAreGone }),
    }),
    ...rateLimitsOf(options),
  };
  return await runJob(cli, { route: 'copyVault', vault, body }, options);
}

function addRepair(job: AddJob, cli: Cli): void {
  job('repair', 'mend what is damaged or missing')
    .option('--copy <place>', 'a copy of the vault: a folder or s3://bucket/prefix')
    .option('--copy-endpoint <url>', 'an S3 service that is not AWS')
    .option('--copy-region <name>', 'region of the bucket')
    .option('--copy-profile <name>', "profile of the AWS settings of the service's user")
    .option('--overwrite', 'write over damaged small objects; packs are never written over')
    .option('--dry-run', 'say what would be written, and stop')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: RepairOptions) => {
      await cli.answer(options, repair(cli, name, options));
    });
}

async function prune(
  cli: Cli,
  vault: string,
  options: PlannedOptions & PruneRuleOptions,
): Promise<Outcome> {
  const body = { limits: limitsOf(options), ...pruneRules(options) };
  const call: JobCall = { route: 'pruneVault', vault, body };
  return await planned(cli, call, options, {
    question: 'Remove what no recovery point needs?',
    isWorth: ({ result }) =>
      result?.kind === 'prune' && result.plan !== undefined && isWorthPruning(result.plan),
  });
}

async function repair(cli: Cli, vault: string, options: RepairOptions): Promise<Outcome> {
  const { copy, copyEndpoint, copyRegion, copyProfile, overwrite } = options;
  const other: PlaceOptions = {
    ...(copyEndpoint === undefined ? {} : { endpoint: copyEndpoint }),
    ...(copyRegion === undefined ? {} : { region: copyRegion }),
    ...(copyProfile === undefined ? {} : { profile: copyProfile }),
  };
  const body = {
    limits: limitsOf(options),
    overwrite: overwrite === true,
    ...(copy === undefined ? {} : { copy: placeOf(cli, copy, other) }),
  };
  const call: JobCall = { route: 'repairVault', vault, body };
  return await planned(cli, call, options, {
    question: 'Write this?',
    isWorth: ({ result }) => result?.kind === 'repair' && isWorthRepairing(result.report),
  });
}

interface Step {
  readonly question: string;
  /** Whether carrying the plan out would change anything. */
  readonly isWorth: (plan: Awaited<ReturnType<typeof endedJob>>) => boolean;
}

/** Plans first and prints the plan; carries it out after a yes. */
async function planned(
  cli: Cli,
  { body, ...call }: JobCall,
  options: PlannedOptions,
  { question, isWorth }: Step,
): Promise<Outcome> {
  const plan = await endedJob(cli, { ...call, body: { ...body, dryRun: true } });
  const text = jobResultText(plan, (timeMs) => cli.time(timeMs));
  if (options.dryRun === true || !isWorth(plan)) {
    return { document: { plan }, text: `${text}Nothing was changed.\n` };
  }
  cli.sayLines(text);
  await cli.confirm(question, options);
  const done = await runJob(cli, { ...call, body: { ...body, dryRun: false } }, options);
  return { document: { plan, job: done.document }, text: done.text };
}

function scrubRequest(options: ScrubOptions): object {
  const { share, budget, all, depth } = options;
  return {
    limits: limitsOf(options),
    depth,
    ...(share === undefined ? {} : { share: parseShare('--share', share) }),
    ...(budget === undefined ? {} : { budgetBytes: parseBytes('--budget', budget) }),
    ...(all === true ? { share: 1 } : {}),
  };
}

/** Resolves a folder from the user's working folder, because the service runs in another. */
function placeOf(cli: Cli, location: string, options: PlaceOptions): CopyPlaceInput {
  const { endpoint, region, profile, singleWriter } = options;
  return {
    location: location.includes('://')
      ? location
      : resolve(cli.environment.workingFolder, location),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(singleWriter === true ? { singleWriter } : {}),
  };
}
