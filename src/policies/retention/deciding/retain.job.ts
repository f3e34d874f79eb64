import { z } from 'zod';
import type { RetentionRows } from '../../../catalog/retention-rows.ts';
import type { RunJob } from '../../../jobs/job.ts';
import { isFault } from '../../../kernel/fault.ts';
import type { SchedulingClock } from '../../runs/scheduling-clock.ts';
import type { RetentionReport } from './retention-report.ts';
import type { Retention } from './retention.service.ts';

const RetainParameters = z.strictObject({ vaultId: z.string() });

/** Counts of a report: what is kept of it in rows and jobs, which must stay small. */
export interface RetentionSummary {
  readonly kept: number;
  readonly due: number;
  readonly retired: number;
  readonly passedOver: number;
  readonly undecided: number;
  readonly blocked: number;
  /** Revisions that wait for a person, with how many points each would give up early. */
  readonly waiting: readonly {
    readonly policy: string;
    readonly revision: number;
    readonly points: number;
  }[];
  readonly notHere?: string;
}

export interface RetainJobParts {
  readonly retention: Pick<Retention, 'decide'>;
  readonly rows: Pick<RetentionRows, 'report'>;
  readonly clock: Pick<SchedulingClock, 'nowMs'>;
}

/** The job that decides about the points of a vault and gives up what is due. */
export class RetainJob {
  constructor(private readonly parts: RetainJobParts) {}

  readonly run: RunJob = async (parameters, { signal }) => {
    const { retention, rows, clock } = this.parts;
    const { vaultId } = RetainParameters.parse(parameters);
    try {
      const report = await retention.decide({ vaultId, dryRun: false }, { signal });
      const summary = summaryOf(report);
      await rows.report(vaultId, report.atMs, summary);
      return { kind: 'retain', ...summary };
    } catch (error) {
      if (isFault(error)) {
        const { code, message } = error;
        await rows.report(vaultId, clock.nowMs(), { fault: { code, message } });
      }
      throw error;
    }
  };
}

function summaryOf(report: RetentionReport): RetentionSummary {
  const { kept, due, retired, passedOver, undecided, blocked, waiting, notHere } = report;
  return {
    kept,
    due: due.length,
    retired: retired.length,
    passedOver: passedOver.length,
    undecided: undecided.length,
    blocked: blocked.length,
    waiting: waiting.map(({ policy, revision, pointIds }) => ({
      ...{ policy, revision },
      points: pointIds.length,
    })),
    ...(notHere === undefined ? {} : { notHere }),
  };
}
