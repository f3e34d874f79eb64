import type { Job } from '../jobs/job.ts';
import { Job as JobView } from './contract/jobs.ts';

/**
 * Returns a job in the form of the contract. This service wrote its JSON; a result of an older
 * version is left out.
 *
 * @param hosts names of hosts by their ids
 */
export function viewOfJob(job: Job, hosts?: ReadonlyMap<string, string>): JobView {
  const { subject, result, hostId, ...rest } = job;
  const host = hostId === undefined ? undefined : hosts?.get(hostId);
  const view = { ...rest, ...subject, ...(host === undefined ? {} : { host }) };
  const whole = JobView.safeParse({ ...view, ...(result === undefined ? {} : { result }) });
  return whole.success ? whole.data : JobView.parse(view);
}
