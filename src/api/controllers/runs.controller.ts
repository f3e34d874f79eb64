import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { RunRows, type StoredRun } from '../../catalog/run-rows.ts';
import { RunList, RunQuery, type Run } from '../contract/runs.ts';

@ApiTags('policies')
@Controller('runs')
export class RunsController {
  constructor(private readonly runs: RunRows) {}

  /** What policies did by themselves, the newest fire times first. */
  @Get()
  @ApiOkResponse({ standardSchema: RunList })
  async list(@Query({ schema: RunQuery }) { policy, vm, limit }: RunQuery): Promise<RunList> {
    const filter = { ...(policy && { policyName: policy }), ...(vm && { vm }), limit };
    return { runs: (await this.runs.list(filter)).map(viewOfRun) };
  }
}

function viewOfRun(run: StoredRun): Run {
  const { id, policyName, vmId, vmName, fireAtMs, attempt } = run;
  const fault = run.fault as Run['fault'] | null;
  return {
    ...{ id, policy: policyName, vmId, vmName, fireAtMs, attempt },
    // Only this service wrote it.
    state: run.state as Run['state'],
    ...(run.why === null ? {} : { why: run.why }),
    ...(run.state === 'due' ? { nextTryAtMs: run.nextTryAtMs } : {}),
    ...(run.jobId === null ? {} : { jobId: run.jobId }),
    ...(fault ? { fault: { code: fault.code, message: fault.message } } : {}),
    ...(run.pointId === null ? {} : { pointId: run.pointId }),
  };
}
