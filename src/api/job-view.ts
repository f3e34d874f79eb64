import type { Job } from '../jobs/job.ts';
import { Job as JobView } from './contract/jobs.ts';

/**
 * A job as the contract shows it. Its JSON was written by this service; a result of an older
 * version is left out.
 */
export function viewOfJob(job: Job): JobView {
  const { subject, result, ...rest } = job;
  const view = { ...rest, ...subject };
  const whole = JobView.safeParse({ ...view, ...(result === undefined ? {} : { result }) });
  return whole.success ? whole.data : JobView.parse(view);
}
