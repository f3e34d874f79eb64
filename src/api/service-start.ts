import { Injectable } from '@nestjs/common';
import { Engine } from '../engines/engine.ts';
import { Discovery } from '../inventory/discovery.ts';
import { Jobs } from '../jobs/jobs.ts';

/** Does what must be in order before the first request is answered. */
@Injectable()
export class ServiceStart {
  /** What was repaired, for people. */
  repaired: readonly string[] = [];

  constructor(
    private readonly engine: Engine,
    private readonly jobs: Jobs,
    private readonly discovery: Discovery,
    readonly version: string,
  ) {}

  /**
   * Ends what an earlier process ran, repairs what it left of its VMs, and looks at them. Then jobs
   * begin.
   */
  async run(signal: AbortSignal): Promise<void> {
    await this.jobs.recover();
    this.repaired = await this.engine.reconcile(signal);
    await this.discovery.begin();
    this.jobs.begin();
  }
}
