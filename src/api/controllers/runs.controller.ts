import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { RunRows } from '../../catalog/run-rows.ts';
import { VerificationRows } from '../../catalog/verification/verification-rows.ts';
import { KnownVms } from '../../inventory/known-vms.ts';
import { RunList, RunQuery } from '../contract/policy/runs.ts';
import { viewOfRun } from '../run-view.ts';

@ApiTags('policies')
@Controller('runs')
export class RunsController {
  constructor(
    private readonly runs: RunRows,
    private readonly known: KnownVms,
    private readonly verifications: VerificationRows,
  ) {}

  /** What policies did by themselves, the newest fire times first. */
  @Get()
  @ApiOkResponse({ standardSchema: RunList })
  async list(@Query({ schema: RunQuery }) { id, policy, vm, limit }: RunQuery): Promise<RunList> {
    const filter = {
      ...(id && { id }),
      ...(policy && { policyName: policy }),
      ...(vm && { vm }),
      limit,
    };
    const hosts = await this.known.hostNames();
    const runs = await this.runs.list(filter);
    const verified = await this.verifications.ofPoints(runs.flatMap((run) => run.pointId ?? []));
    return {
      runs: runs.map((run) => viewOfRun(run, hosts, verified.get(run.pointId ?? ''))),
    };
  }
}
