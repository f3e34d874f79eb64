import { JobRoom } from '../catalog/jobs/job-room.ts';
import { laneLimits, laneOf } from './job-lanes.ts';
import type { JobKind } from './job.ts';

const [HERE, THERE] = ['host-1', 'host-2'];

const job = (kind: JobKind, claimedBy: string | null = null, subject = {}) => ({
  lane: laneOf(kind),
  claimedBy,
  subject,
});

/** Returns of each job whether there is room, one after the other. */
function taken(
  limits: Parameters<typeof laneLimits>[0],
  running: ReturnType<typeof job>[],
  waiting: ReturnType<typeof job>[],
): boolean[] {
  const room = new JobRoom(HERE, laneLimits(limits), running);
  return waiting.map((each) => room.take(each));
}

describe('room for jobs', () => {
  it('is never taken from backups by the care of a vault, nor from restores by backups', () => {
    const running = [job('prune', HERE), job('copy', HERE), job('backup', HERE)];
    const waiting = [job('scrub'), job('verify'), job('restore'), job('restore')];

    expect(taken({ concurrency: 1 }, running, waiting)).toEqual([false, false, true, false]);
  });

  it('is given to verifications that nobody waits for while nothing else runs, or after an hour', () => {
    const room = (running: ReturnType<typeof job>[], nowMs: number) =>
      new JobRoom(HERE, laneLimits({ concurrency: 2 }), running, nowMs);
    const proof = { ...job('prove'), createdAtMs: 0 };

    expect(room([job('backup', HERE)], 1).take(proof)).toBe(false);
    expect(room([job('restore', HERE)], 1).take(proof)).toBe(false);
    expect(room([job('backup', HERE)], 3_600_000).take(proof)).toBe(true);
    expect(room([job('backup', THERE), job('scrub', HERE)], 1).take(proof)).toBe(true);
    expect(room([job('prove', HERE)], 3_600_000).take(proof)).toBe(false);
    expect(room([job('prove', HERE)], 1).take(job('backup'))).toBe(true);
  });

  it('is that of this host, whatever runs on others, up to what all may do together', () => {
    const running = [job('backup', THERE), job('backup', THERE)];
    const waiting = [job('backup'), job('backup'), job('backup')];

    expect(taken({ concurrency: 2 }, running, waiting)).toEqual([true, true, false]);
    expect(taken({ concurrency: 2, allHosts: 3 }, running, waiting)).toEqual([true, false, false]);
  });

  it('is counted by vault and by VM on all hosts, and passes over what has none', () => {
    const running = [job('backup', THERE, { vaultId: 'a', vmId: 'web' })];
    const waiting = [
      job('backup', null, { vaultId: 'a', vmId: 'db' }),
      job('verify', null, { vaultId: 'b', vmId: 'web' }),
      job('verify', null, { vaultId: 'b', vmId: 'db' }),
      job('verify', null, { vaultId: 'b', vmId: 'mail' }),
    ];

    expect(taken({ concurrency: 4, perVault: 1 }, running, waiting)).toEqual([
      ...[false, true, false, false],
    ]);
    expect(taken({ concurrency: 4, perVm: 1 }, running, waiting)).toEqual([
      ...[true, false, false, true],
    ]);
  });
});
