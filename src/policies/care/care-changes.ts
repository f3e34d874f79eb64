import { isDeepStrictEqual } from 'node:util';
import type { CareChanges } from '../../catalog/care/care-revisions.ts';
import type { CareDocument } from '../document/care-document.ts';
import type { ReadCare, ReadText } from '../document/read-policies.ts';
import { fieldChanges } from '../plan/field-changes.ts';
import type { PlannedCare } from '../plan/policy-plan.ts';
import { isReadableCare, type CareInForce } from './care-in-force.ts';

interface CareInput {
  readonly stored: readonly CareInForce[];
  readonly wanted: readonly CareDocument[];
  /** Removes what the text does not have. */
  readonly prune: boolean;
}

export function planCare({ stored, wanted, prune }: CareInput): PlannedCare[] {
  const before = new Map(stored.map((care) => [care.vault, care]));
  const names = new Set(wanted.map(({ vault }) => vault));
  const planned = wanted.map((document): PlannedCare => {
    const care = before.get(document.vault);
    const old = care !== undefined && isReadableCare(care) ? care.document : undefined;
    const action =
      care === undefined ? 'create' : isDeepStrictEqual(old, document) ? 'none' : 'change';
    const fields = old === undefined ? [] : fieldChanges(old, document);
    return { vault: document.vault, action, fields };
  });
  const rest = stored.flatMap(({ vault }): PlannedCare[] =>
    names.has(vault) ? [] : [{ vault, action: prune ? 'remove' : 'left', fields: [] }],
  );
  return [...planned, ...rest].toSorted((a, b) => (a.vault < b.vault ? -1 : 1));
}

/** Writes what was planned. */
export async function changeCare(
  changes: CareChanges,
  planned: readonly PlannedCare[],
  { wanted, stored }: Pick<CareInput, 'wanted' | 'stored'>,
): Promise<void> {
  for (const { vault, action } of planned) {
    const after = wanted.find((document) => document.vault === vault);
    if (action === 'create' && after !== undefined) {
      await changes.revise(vault, 'created', after);
    } else if (action === 'change' && after !== undefined) {
      await changes.revise(vault, 'changed', after);
    } else if (action === 'remove') {
      const before = stored.find((care) => care.vault === vault);
      const document = before !== undefined && isReadableCare(before) ? before.document : {};
      await changes.revise(vault, 'removed', document);
    }
  }
}

/** Returns what a text names that there is not: vaults, and copies of vaults. */
export function unknownNames(
  { policies, care }: ReadText,
  vaults: ReadonlySet<string>,
  stored: readonly CareInForce[],
): string[] {
  const known = [...vaults].join(', ') || 'none yet; make one with "hyperkeep vault create"';
  const unknown = (vault: string, place: string): string[] =>
    vaults.has(vault) ? [] : [`${place}: vault: no vault ${vault} is registered (${known})`];
  return [
    ...policies.flatMap(({ document, placeOf }) => unknown(document.vault, placeOf('vault'))),
    ...care.flatMap(({ document, placeOf }) => unknown(document.vault, placeOf('vault'))),
    ...policies.flatMap((policy) => unknownCopies(policy, care, stored)),
  ];
}

function unknownCopies(
  { document, placeOf }: ReadText['policies'][number],
  care: readonly ReadCare[],
  stored: readonly CareInForce[],
): string[] {
  const { vault, copies = [] } = document;
  const written =
    care.find((each) => each.document.vault === vault)?.document ??
    stored.filter(isReadableCare).find((each) => each.vault === vault)?.document;
  const names = (written?.copies ?? []).map(({ name }) => name);
  const known = names.join(', ') || 'none yet; describe one under care';
  return copies.flatMap((copy, index) => {
    const path = ['copies', String(index), 'vault'];
    return names.includes(copy.vault)
      ? []
      : [`${placeOf(...path)}: ${path.join('.')}: ${vault} has no copy ${copy.vault} (${known})`];
  });
}
