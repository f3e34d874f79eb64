import type { StoredRun } from '../../catalog/run-rows.ts';
import { isReadable, type KnownPolicy, type PolicyInForce } from '../known-policy.ts';

/** Of policies; less comes first. */
export const ORDER = { high: 0, normal: 1, low: 2 };

/**
 * Returns the runs that may start now, those of more important policies first, then the older ones.
 * A run ahead of the clock waits, whatever put it there; so does one whose policy cannot be read,
 * or is paused unless somebody asked for the run.
 */
export function startable(
  runs: readonly StoredRun[],
  policies: ReadonlyMap<string, PolicyInForce>,
  nowMs: number,
): { readonly run: StoredRun; readonly policy: KnownPolicy }[] {
  return runs
    .filter(({ state, fireAtMs, nextTryAtMs }) => {
      return state === 'due' && fireAtMs <= nowMs && nextTryAtMs <= nowMs;
    })
    .flatMap((run) => {
      const policy = policies.get(run.policyId);
      const rests = policy?.paused === true && run.actor === null;
      return policy === undefined || rests || !isReadable(policy) ? [] : [{ run, policy }];
    })
    .sort(
      (a, b) =>
        ORDER[a.policy.document.priority] - ORDER[b.policy.document.priority] ||
        a.run.fireAtMs - b.run.fireAtMs,
    );
}
