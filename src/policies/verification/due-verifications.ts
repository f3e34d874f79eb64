import { randomUUID } from 'node:crypto';
import type { NewestPoint, VmInVault } from '../../catalog/newest-points.ts';
import type {
  LastVerification,
  StoredVerification,
} from '../../catalog/verification/verification-rows.ts';
import { durationMs } from '../document/duration.ts';
import type { PolicyDocument } from '../document/policy-document.ts';
import { selectVms, type SelectableVm } from '../document/selector.ts';
import type { KnownPolicy } from '../known-policy.ts';

/** A VM whose points a policy wants verified now. */
export interface WantedVerification extends VmInVault {
  readonly vmName: string;
  readonly policyId: string;
  readonly policyName: string;
  readonly level: NonNullable<PolicyDocument['verification']>['level'];
  readonly dueAtMs: number;
}

export interface VerificationFacts {
  readonly vms: readonly SelectableVm[];
  /** Ids of vaults by their names. */
  readonly vaults: ReadonlyMap<string, string>;
  readonly last: readonly LastVerification[];
  readonly nowMs: number;
}

/**
 * Returns which VMs are due. The first time is at once; what was missed is done once. While one
 * waits or runs, no other is due.
 */
export function dueVerifications(
  policies: readonly KnownPolicy[],
  { vms, vaults, last, nowMs }: VerificationFacts,
): WantedVerification[] {
  const before = new Map(last.map((each) => [`${each.policyId} ${each.vmId}`, each]));
  return policies.flatMap(({ id: policyId, name: policyName, document, paused }) => {
    const { verification } = document;
    const vaultId = vaults.get(document.vault);
    if (verification === undefined || vaultId === undefined || paused) {
      return [];
    }
    return selectVms(document, vms).flatMap(({ id: vmId, name: vmName }) => {
      const known = before.get(`${policyId} ${vmId}`);
      const dueAtMs = known === undefined ? nowMs : nextDue(known, verification.every, nowMs);
      const { level } = verification;
      return dueAtMs === undefined
        ? []
        : [{ vaultId, vmId, vmName, policyId, policyName, level, dueAtMs }];
    });
  });
}

/** Returns the latest due time since the last one that has come. */
function nextDue(
  { dueAtMs, isOpen }: LastVerification,
  every: string,
  nowMs: number,
): number | undefined {
  const everyMs = durationMs(every);
  const passed = Math.floor((nowMs - dueAtMs) / everyMs);
  return isOpen || passed < 1 ? undefined : dueAtMs + passed * everyMs;
}

/** Returns the rows of what is due, for VMs that have a point. */
export function verificationRows(
  wanted: readonly WantedVerification[],
  newest: readonly NewestPoint[],
): StoredVerification[] {
  const points = new Map(newest.map((point) => [`${point.vaultId} ${point.vmId}`, point.pointId]));
  return wanted.flatMap((each) => {
    const { vaultId, vmId, policyId, dueAtMs } = each;
    const pointId = points.get(`${vaultId} ${vmId}`);
    const row = {
      ...{ ...each, id: randomUUID(), key: `policy ${policyId} ${vmId} ${String(dueAtMs)}` },
      ...{ state: 'due', why: null, attempt: 0, nextTryAtMs: dueAtMs },
      ...{ hostId: null, jobId: null, fault: null, endedAtMs: null },
    };
    return pointId === undefined ? [] : [{ ...row, pointId }];
  });
}
