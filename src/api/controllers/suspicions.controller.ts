import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Suspicions } from '../../policies/suspicion/suspicions.service.ts';
import { ClearSuspicion, SuspicionList, SuspicionsCleared } from '../contract/policy/suspicions.ts';
import { VmReference } from '../contract/references.ts';
import { RequestSignal } from '../request-signal.ts';
import { viewOfSuspicion } from '../views/suspicion-view.ts';

/** Content that looks encrypted. */
@ApiTags('policies')
@Controller('suspicions')
export class SuspicionsController {
  constructor(private readonly suspicions: Suspicions) {}

  /** Lists those that nobody has answered, and those that were. */
  @Get()
  @ApiOkResponse({ standardSchema: SuspicionList })
  async list(): Promise<SuspicionList> {
    return { suspicions: (await this.suspicions.list()).map(viewOfSuspicion) };
  }

  /** Takes what looks encrypted for usual: points of the VM can be given up again. */
  @Post(':vm/clear')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: SuspicionsCleared })
  async clear(
    @Param('vm', { schema: VmReference }) vm: string,
    @Body({ schema: ClearSuspicion.prefault({}) }) { note, retentionPassphrase }: ClearSuspicion,
    @RequestSignal() signal: AbortSignal,
  ): Promise<SuspicionsCleared> {
    const cleared = await this.suspicions.clear({ vm, note, retentionPassphrase }, signal);
    return {
      cleared: cleared.map(({ suspicion, holdStays }) => ({
        ...viewOfSuspicion(suspicion),
        isHeld: holdStays !== undefined,
        ...(holdStays === undefined ? {} : { holdStays }),
      })),
    };
  }
}
