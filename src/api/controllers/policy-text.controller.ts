import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Policies } from '../../policies/policies.service.ts';
import {
  ApplyPolicies,
  PlanPolicies,
  PolicyPlan,
  PolicyText,
  PolicyTextQuery,
} from '../contract/policies.ts';
import { viewOfPlan } from '../policy-view.ts';
import { RequestSignal } from '../request-signal.ts';

/** Policies as code. */
@ApiTags('policies')
@Controller('policy-text')
export class PolicyTextController {
  constructor(private readonly policies: Policies) {}

  /** Returns the policies in force, or one of them, as the text that makes them again. */
  @Get()
  @ApiOkResponse({ standardSchema: PolicyText })
  async export(@Query({ schema: PolicyTextQuery }) query: PolicyTextQuery): Promise<PolicyText> {
    return { text: await this.policies.export(query.policy) };
  }

  /** Makes the policies those of the text, all of them or none; returns what was changed. */
  @Post()
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: PolicyPlan })
  async apply(
    @Body({ schema: ApplyPolicies }) body: ApplyPolicies,
    @RequestSignal() signal: AbortSignal,
  ): Promise<PolicyPlan> {
    return viewOfPlan(await this.policies.apply(body, signal));
  }

  /** Says what the text would change, and for which VMs. */
  @Post('plan')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: PolicyPlan })
  async plan(
    @Body({ schema: PlanPolicies }) body: PlanPolicies,
    @RequestSignal() signal: AbortSignal,
  ): Promise<PolicyPlan> {
    return viewOfPlan(await this.policies.plan(body, signal));
  }
}
