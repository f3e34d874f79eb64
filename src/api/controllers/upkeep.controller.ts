import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';
import { ApiAcceptedResponse, ApiTags } from '@nestjs/swagger';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { UpkeepKind } from '../../jobs/job.ts';
import { Jobs } from '../../jobs/jobs.ts';
import { upkeepKey, type UpkeepParameters } from '../../upkeep/upkeep.jobs.ts';
import { Job } from '../contract/jobs.ts';
import { VaultReference } from '../contract/references.ts';
import {
  StartCopy,
  StartDestroy,
  StartKeep,
  StartPlain,
  StartPrune,
  StartRepair,
  StartRetirementPlan,
  StartRevive,
  StartScrub,
} from '../contract/upkeep.ts';
import { viewOfJob } from '../job-view.ts';

/** Starts jobs that care for a vault; each answer is a job to follow. */
@ApiTags('vaults')
@Controller('vaults/:vault')
export class UpkeepController {
  constructor(
    private readonly jobs: Jobs,
    private readonly vaults: RegisteredVaults,
  ) {}

  /** Tries what the store can do, and keeps the result with the vault. */
  @Post('probe')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async probe(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartPlain }) body: StartPlain,
  ): Promise<Job> {
    return this.start('probe', vault, body);
  }

  /** Measures what points take and would free, ratios, and growth. */
  @Post('usage')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async usage(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartPlain }) body: StartPlain,
  ): Promise<Job> {
    return this.start('usage', vault, body);
  }

  /** Frees the space of points that were given up; `dryRun` only says what it would free. */
  @Post('prune')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async prune(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartPrune }) { dryRun, limits, ...rules }: StartPrune,
  ): Promise<Job> {
    return this.start('prune', vault, { dryRun, limits, rules: withoutUndefined(rules) });
  }

  /** Reads and proves a share of the vault, longest unchecked first. */
  @Post('scrub')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async scrub(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartScrub }) { share, budgetBytes, ...rest }: StartScrub,
  ): Promise<Job> {
    const budget = { share, bytes: budgetBytes };
    const isGiven = share !== undefined || budgetBytes !== undefined;
    return this.start('scrub', vault, { ...rest, ...(isGiven ? { budget } : {}) });
  }

  /** Mends what is damaged or missing; `dryRun` only says what it would do. */
  @Post('repair')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async repair(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartRepair }) body: StartRepair,
  ): Promise<Job> {
    return this.start('repair', vault, body);
  }

  /** Makes or refreshes a copy at another place; `dryRun` only says what it would send. */
  @Post('copy')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async copy(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartCopy }) body: StartCopy,
  ): Promise<Job> {
    return this.start('copy', vault, withoutUndefined(body));
  }

  /** Extends the locks of what recovery points need. */
  @Post('keep')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async keep(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartKeep }) body: StartKeep,
  ): Promise<Job> {
    return this.start('keep', vault, body);
  }

  /** Removes the vault with all its points; `dryRun` only says what would go. */
  @Post('destroy')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async destroy(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartDestroy }) body: StartDestroy,
  ): Promise<Job> {
    return this.start('destroy', vault, withoutUndefined(body));
  }

  /** Returns what giving points up would free. Changes nothing. */
  @Post('retirement-plan')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async planRetirement(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartRetirementPlan }) { points: pointIds, limits }: StartRetirementPlan,
  ): Promise<Job> {
    return this.start('retirement-plan', vault, { pointIds, limits });
  }

  /** Brings a point that was given up back as a new one. */
  @Post('revive')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async revive(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: StartRevive }) { point: prefix, limits }: StartRevive,
  ): Promise<Job> {
    return this.start('revive', vault, { prefix, limits });
  }

  private async start<Kind extends UpkeepKind>(
    kind: Kind,
    vault: string,
    request: Omit<UpkeepParameters<Kind>, 'vaultId'> & { readonly dryRun?: boolean },
  ): Promise<Job> {
    const { id, name } = await this.vaults.choose(vault);
    const exclusiveKey = upkeepKey(kind, id, request.dryRun === true);
    const job = await this.jobs.start({
      kind,
      subject: { vaultId: id, vaultName: name },
      parameters: { ...request, vaultId: id },
      ...(exclusiveKey === undefined ? {} : { exclusiveKey }),
    });
    return viewOfJob(job);
  }
}

type Defined<Fields> = { [Name in keyof Fields]: Exclude<Fields[Name], undefined> };

/** Drops undefined fields: a rule that was left out must stay left out. */
function withoutUndefined<Fields extends object>(fields: Fields): Defined<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Defined<Fields>;
}
