import { stringify } from 'yaml';
import type { CareDocument } from './care-document.ts';
import type { PolicyDocument } from './policy-document.ts';

const COLUMNS = 100;

/** Writes policies and care as the YAML that `readPolicies` reads as the same. */
export function writePolicies(
  policies: readonly PolicyDocument[],
  care: readonly CareDocument[] = [],
): string {
  return stringify(
    { policies, ...(care.length > 0 && { care }) },
    { lineWidth: COLUMNS, aliasDuplicateObjects: false, version: '1.2', schema: 'core' },
  );
}
