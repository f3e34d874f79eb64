import { z } from 'zod';
import type { StoredRevision } from '../catalog/policy-rows.ts';
import { selectVms, type SelectableVm } from '../policies/document/selector.ts';
import { isReadable, type PolicyInForce } from '../policies/known-policy.ts';
import { fieldChanges } from '../policies/plan/field-changes.ts';
import type { PolicyPlan } from '../policies/plan/policy-plan.ts';
import {
  PolicyHistory,
  PolicyPlan as PolicyPlanView,
  type Policy as PolicyView,
} from './contract/policies.ts';

/** Returns a policy in the form of the contract. */
export function viewOfPolicy(policy: PolicyInForce, vms: readonly SelectableVm[]): PolicyView {
  const { id, name, revision, paused } = policy;
  if (!isReadable(policy)) {
    const document = z.record(z.string(), z.unknown()).catch({}).parse(policy.document);
    const vault = z.string().catch('').parse(document['vault']);
    return { id, name, revision, paused, document, vault, vms: [], problem: policy.problem };
  }
  const { document } = policy;
  return {
    ...{ id, name, revision, paused, document },
    vault: document.vault,
    vms: selectVms(document, vms).map((vm) => vm.name),
  };
}

/** Returns revisions, newest first, each with what differs from the one before. */
export function viewOfHistory(revisions: readonly StoredRevision[]): PolicyHistory {
  return PolicyHistory.parse({
    revisions: revisions.map((revision, index) => {
      const before = revisions[index + 1];
      const isNext = before?.policyId === revision.policyId;
      return {
        ...revision,
        fields: isNext ? fieldChanges(before.document, revision.document) : [],
      };
    }),
  });
}

/** Returns a plan in the form of the contract. */
export function viewOfPlan(plan: PolicyPlan): PolicyPlanView {
  return PolicyPlanView.parse(plan);
}
