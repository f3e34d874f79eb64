import type { z } from 'zod';
import type { StoredPolicy } from '../catalog/policy-rows.ts';
import { PolicyDocument } from './document/policy-document.ts';

/** A policy in force, its document read. */
export interface KnownPolicy extends Omit<StoredPolicy, 'document'> {
  readonly document: PolicyDocument;
}

/** A policy in force that this version cannot read: written by another one, or by hand. */
export interface UnreadablePolicy extends StoredPolicy {
  readonly problem: string;
}

export type PolicyInForce = KnownPolicy | UnreadablePolicy;

/** Reads a row that this version or another one wrote. One that it cannot read stops no other. */
export function policyInForce(stored: StoredPolicy): PolicyInForce {
  const { data: document, error } = PolicyDocument.safeParse(stored.document);
  return error === undefined ? { ...stored, document } : { ...stored, problem: problemOf(error) };
}

export function isReadable(policy: PolicyInForce): policy is KnownPolicy {
  return !('problem' in policy);
}

export function isUnreadable(policy: PolicyInForce): policy is UnreadablePolicy {
  return !isReadable(policy);
}

/** Says in one line what a schema found. */
export function problemOf(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
    .join('; ');
}
