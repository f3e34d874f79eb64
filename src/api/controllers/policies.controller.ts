import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { KnownVms } from '../../inventory/known-vms.ts';
import { Policies } from '../../policies/policies.service.ts';
import { PolicyStart } from '../../policies/policy-start.ts';
import {
  Policy,
  PolicyAction,
  PolicyHistory,
  PolicyList,
  PolicyReference,
} from '../contract/policies.ts';
import { PolicyRun } from '../contract/policy/runs.ts';
import { viewOfHistory, viewOfPolicy } from '../policy-view.ts';
import { RequestSignal } from '../request-signal.ts';
import { viewOfRun } from '../run-view.ts';

/** What is protected, and whether it is. */
@ApiTags('policies')
@Controller()
export class PoliciesController {
  constructor(
    private readonly policies: Policies,
    private readonly start: PolicyStart,
    private readonly known: KnownVms,
  ) {}

  /** Lists the policies in force by name. */
  @Get('policies')
  @ApiOkResponse({ standardSchema: PolicyList })
  async list(@RequestSignal() signal: AbortSignal): Promise<PolicyList> {
    const vms = await this.policies.vms(signal);
    return { policies: (await this.policies.list()).map((policy) => viewOfPolicy(policy, vms)) };
  }

  @Get('policies/:policy')
  @ApiOkResponse({ standardSchema: Policy })
  async get(
    @Param('policy', { schema: PolicyReference }) name: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Policy> {
    return viewOfPolicy(await this.policies.get(name), await this.policies.vms(signal));
  }

  /** Lists who changed what and when, also of a policy that was removed. */
  @Get('policies/:policy/revisions')
  @ApiOkResponse({ standardSchema: PolicyHistory })
  async history(
    @Param('policy', { schema: PolicyReference }) name: string,
  ): Promise<PolicyHistory> {
    return viewOfHistory(await this.policies.history(name));
  }

  /** Stops its fire times until it is resumed. */
  @Post('policies/:policy/pause')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Policy })
  async pause(
    @Param('policy', { schema: PolicyReference }) name: string,
    @Body({ schema: PolicyAction.prefault({}) }) _: object,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Policy> {
    return this.setPaused(name, true, signal);
  }

  /** Lets it fire again, from now on. */
  @Post('policies/:policy/resume')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Policy })
  async resume(
    @Param('policy', { schema: PolicyReference }) name: string,
    @Body({ schema: PolicyAction.prefault({}) }) _: object,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Policy> {
    return this.setPaused(name, false, signal);
  }

  /** Makes a run of each of its VMs that has none now. */
  @Post('policies/:policy/run')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: PolicyRun })
  async run(
    @Param('policy', { schema: PolicyReference }) name: string,
    @Body({ schema: PolicyAction.prefault({}) }) _: object,
    @RequestSignal() signal: AbortSignal,
  ): Promise<PolicyRun> {
    const started = await this.start.now(await this.policies.read(name), signal);
    const hosts = await this.known.hostNames();
    const runsOf = (isOpen: boolean) =>
      started.filter((each) => each.isOpen === isOpen).map(({ run }) => viewOfRun(run, hosts));
    return { runs: runsOf(false), open: runsOf(true) };
  }

  private async setPaused(name: string, paused: boolean, signal: AbortSignal): Promise<Policy> {
    return viewOfPolicy(
      await this.policies.setPaused(name, paused),
      await this.policies.vms(signal),
    );
  }
}
