import { stringify } from 'yaml';
import type { PolicyDocument } from './policy-document.ts';

const COLUMNS = 100;

/** Writes policies as the YAML that `readPolicies` reads as the same policies. */
export function writePolicies(documents: readonly PolicyDocument[]): string {
  return stringify(
    { policies: documents },
    { lineWidth: COLUMNS, aliasDuplicateObjects: false, version: '1.2', schema: 'core' },
  );
}
