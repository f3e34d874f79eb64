import type { Job } from '../jobs/job.ts';
import { Job as JobView } from './contract/jobs.ts';

/**
 * Returns a job in the form of the contract. This service wrote its JSON; a result of an older
 * version is left out.
 */
export function viewOfJob(job: Job): JobView {
  const { subject, result, ...rest } = job;
  const view = { ...rest, ...subject };
  const whole = JobView.safeParse({ ...view, ...(result === undefined ? {} : { result }) });
  return whole.success ? whole.data : JobView.parse(view);
}
