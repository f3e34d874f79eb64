import { JobLanes } from './job-lanes.ts';
import type { JobKind } from './job.ts';

const item = (kind: JobKind) => ({ job: { kind } });

describe('JobLanes', () => {
  it('never lets a backup wait behind the care of a vault', () => {
    const lanes = new JobLanes<ReturnType<typeof item>>(1);
    const copy = item('copy');
    lanes.add(item('prune'));
    lanes.next();
    const scrub = item('scrub');
    const backup = item('backup');
    const verify = item('verify');
    for (const one of [copy, scrub, backup, verify]) {
      lanes.add(one);
    }

    expect([lanes.next(), lanes.next(), lanes.next()]).toEqual([copy, backup, undefined]);
    lanes.ended(item('copy'));
    expect([lanes.next(), lanes.next()]).toEqual([scrub, undefined]);
    expect(lanes.length).toBe(1);
    expect(lanes.remove(verify)).toBe(true);
    lanes.ended(item('backup'));
    expect(lanes.next()).toBeUndefined();
  });

  it('never lets a restore wait behind a backup', () => {
    const lanes = new JobLanes<ReturnType<typeof item>>(1);
    const backup = item('backup');
    const restore = item('restore');
    for (const one of [backup, item('verify'), restore, item('restore')]) {
      lanes.add(one);
    }

    expect([lanes.next(), lanes.next(), lanes.next()]).toEqual([backup, restore, undefined]);
  });
});
