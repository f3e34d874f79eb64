import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Care } from '../../care/care.service.ts';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { KnownVms } from '../../inventory/known-vms.ts';
import { isReadableCare } from '../../policies/care/care-in-force.ts';
import { Policies } from '../../policies/policies.service.ts';
import { viewOfCareHistory, viewOfCareRun, viewOfTask } from '../views/care-view.ts';
import {
  CareHistory,
  CareList,
  CareQuery,
  CareRunList,
  CareRunQuery,
  CareStarted,
  RunCare,
} from '../contract/policy/care.ts';
import { VaultReference } from '../contract/references.ts';

/** What is done for vaults by itself. */
@ApiTags('vaults')
@Controller()
export class CareController {
  constructor(
    private readonly care: Care,
    private readonly policies: Policies,
    private readonly vaults: RegisteredVaults,
    private readonly known: KnownVms,
  ) {}

  /** Lists the tasks of every vault: when they are due, what became of them, and what is wrong. */
  @Get('care')
  @ApiOkResponse({ standardSchema: CareList })
  async list(@Query({ schema: CareQuery }) { vault }: CareQuery): Promise<CareList> {
    const { atMs, tasks } = await this.care.list(await this.idOf(vault));
    const hosts = await this.known.hostNames();
    const unreadable = (await this.policies.care()).flatMap((care) =>
      isReadableCare(care) ? [] : [{ vault: care.vault, problem: care.problem }],
    );
    return { atMs, tasks: tasks.map((task) => viewOfTask(task, atMs, hosts)), unreadable };
  }

  /** What was done for vaults by itself, the newest fire times first. */
  @Get('care-runs')
  @ApiOkResponse({ standardSchema: CareRunList })
  async runs(
    @Query({ schema: CareRunQuery }) { vault, task, limit }: CareRunQuery,
  ): Promise<CareRunList> {
    const vaultId = await this.idOf(vault);
    const filter = { ...(vaultId && { vaultId }), ...(task && { task }), limit };
    const hosts = await this.known.hostNames();
    return { runs: (await this.care.runs(filter)).map((run) => viewOfCareRun(run, hosts)) };
  }

  /** Lists who changed what of the care of a vault and when. */
  @Get('vaults/:vault/care')
  @ApiOkResponse({ standardSchema: CareHistory })
  async history(@Param('vault', { schema: VaultReference }) vault: string): Promise<CareHistory> {
    const { name } = await this.vaults.choose(vault);
    return viewOfCareHistory(await this.policies.careHistory(name));
  }

  /** Does a task now. */
  @Post('vaults/:vault/care')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: CareStarted })
  async run(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: RunCare }) { task }: RunCare,
  ): Promise<CareStarted> {
    const { run, isOpen } = await this.care.run(await this.vaults.choose(vault), task);
    return { run: viewOfCareRun(run, await this.known.hostNames()), isOpen };
  }

  private async idOf(vault: string | undefined): Promise<string | undefined> {
    return vault === undefined ? undefined : (await this.vaults.choose(vault)).id;
  }
}
