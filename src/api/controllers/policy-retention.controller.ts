import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { PointKeeping } from '../../policies/retention/deciding/point-keeping.ts';
import { RetentionSimulation } from '../../policies/retention/deciding/simulation.service.ts';
import { PolicyReference } from '../contract/policies.ts';
import {
  AdoptedPoints,
  AdoptPoints,
  PolicyRetirement,
  RetirePolicyPoints,
} from '../contract/policy/retention.ts';
import { PolicySimulation, SimulationQuery } from '../contract/policy/simulation.ts';
import { RequestSignal } from '../request-signal.ts';

/** What policies give up, and which points they decide about. */
@ApiTags('policies')
@Controller()
export class PolicyRetentionController {
  constructor(
    private readonly keeping: PointKeeping,
    private readonly simulation: RetentionSimulation,
  ) {}

  /** Says what the policy gives up, and why; with `yes` gives it up. */
  @Post('policies/:policy/retire')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: PolicyRetirement })
  async retire(
    @Param('policy', { schema: PolicyReference }) policy: string,
    @Body({ schema: RetirePolicyPoints }) { yes, gonePoints: gone }: RetirePolicyPoints,
    @RequestSignal() signal: AbortSignal,
  ): Promise<PolicyRetirement> {
    const report = await this.keeping.retire({ policy, dryRun: !yes, gone }, { signal });
    const waiting = report.waiting.map(({ pointIds, ...revision }) => ({
      ...revision,
      points: pointIds.length,
    }));
    return PolicyRetirement.parse({ policy, ...report, waiting });
  }

  /** Gives points to the policy that were taken by hand or whose policy is gone. */
  @Post('policies/:policy/adopt')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: AdoptedPoints })
  async adopt(
    @Param('policy', { schema: PolicyReference }) policy: string,
    @Body({ schema: AdoptPoints }) { points, yes }: AdoptPoints,
  ): Promise<AdoptedPoints> {
    return { policy, points: await this.keeping.adopt(policy, points, !yes) };
  }

  /** Says what the policies will have made of their vaults in a year, and after five. */
  @Get('policy-simulation')
  @ApiOkResponse({ standardSchema: PolicySimulation })
  async simulate(
    @Query({ schema: SimulationQuery }) { policy }: SimulationQuery,
    @RequestSignal() signal: AbortSignal,
  ): Promise<PolicySimulation> {
    return PolicySimulation.parse(await this.simulation.run(policy, signal));
  }
}
