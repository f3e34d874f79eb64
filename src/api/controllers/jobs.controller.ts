import {
  Controller,
  Get,
  HttpCode,
  Param,
  Post,
  Query,
  Sse,
  type MessageEvent,
} from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Observable } from 'rxjs';
import { z } from 'zod';
import { KnownVms } from '../../inventory/known-vms.ts';
import { isFinished } from '../../jobs/job.ts';
import { Jobs } from '../../jobs/jobs.ts';
import { Job, JobList, JobQuery } from '../contract/jobs.ts';
import { viewOfJob } from '../job-view.ts';

/** A job by its id or the beginning of it. */
const JobReference = z.string().regex(/^[0-9a-f-]{4,36}$/i, 'the id of a job');

@ApiTags('jobs')
@Controller('jobs')
export class JobsController {
  constructor(
    private readonly jobs: Jobs,
    private readonly known: KnownVms,
  ) {}

  /** The newest jobs first. */
  @Get()
  @ApiOkResponse({ standardSchema: JobList })
  async list(@Query({ schema: JobQuery }) { state, kind, limit }: JobQuery): Promise<JobList> {
    const jobs = await this.jobs.list({
      limit,
      ...(state === undefined ? {} : { state }),
      ...(kind === undefined ? {} : { kind }),
    });
    const hosts = await this.known.hostNames();
    return { jobs: jobs.map((job) => viewOfJob(job, hosts)) };
  }

  @Get(':job')
  @ApiOkResponse({ standardSchema: Job })
  async get(@Param('job', { schema: JobReference }) id: string): Promise<Job> {
    return viewOfJob(await this.jobs.find(id), await this.known.hostNames());
  }

  /** Asks the job to stop and answers when it has. A finished job stays as it is. */
  @Post(':job/cancel')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Job })
  async cancel(@Param('job', { schema: JobReference }) asked: string): Promise<Job> {
    const { id } = await this.jobs.find(asked);
    return viewOfJob(await this.jobs.cancel(id));
  }

  /** Sends every change of the job as a server-sent event; ends after its last state. */
  @Sse(':job/events')
  async events(
    @Param('job', { schema: JobReference }) asked: string,
  ): Promise<Observable<MessageEvent>> {
    const { id } = await this.jobs.find(asked);
    return new Observable((subscriber) => {
      const show = (job: Awaited<ReturnType<Jobs['get']>>): void => {
        subscriber.next({ type: 'job', data: viewOfJob(job) });
        if (isFinished(job)) {
          subscriber.complete();
        }
      };
      const stop = this.jobs.watch(id, show);
      // Watching began before, so a change in between is shown twice rather than never.
      this.jobs.get(id).then(show, (error: unknown) => {
        subscriber.error(error);
      });
      return stop;
    });
  }
}
