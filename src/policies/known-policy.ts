import type { StoredPolicy } from '../catalog/policy-rows.ts';
import { PolicyDocument } from './document/policy-document.ts';

/** A policy in force, its document read. */
export interface KnownPolicy extends Omit<StoredPolicy, 'document'> {
  readonly document: PolicyDocument;
}

/** Reads a row that this version or an earlier one wrote. */
export function knownPolicy(stored: StoredPolicy): KnownPolicy {
  return { ...stored, document: PolicyDocument.parse(stored.document) };
}
