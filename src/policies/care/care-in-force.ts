import type { StoredCareRevision } from '../../catalog/care/care-revisions.ts';
import { CareDocument } from '../document/care-document.ts';
import { problemOf } from '../known-policy.ts';

interface Written {
  /** Name of the vault. */
  readonly vault: string;
  readonly revision: number;
}

/** What is written about the care of a vault. */
export interface KnownCare extends Written {
  readonly document: CareDocument;
}

/** What another version wrote about it and this one cannot read. */
export interface UnreadableCare extends Written {
  readonly problem: string;
}

export type CareInForce = KnownCare | UnreadableCare;

/** Reads a row that this version or another one wrote. */
export function careInForce({ vault, number, document }: StoredCareRevision): CareInForce {
  const { data, error } = CareDocument.safeParse(document);
  const written = { vault, revision: number };
  return error === undefined
    ? { ...written, document: data }
    : { ...written, problem: problemOf(error) };
}

export function isReadableCare(care: CareInForce): care is KnownCare {
  return !('problem' in care);
}
