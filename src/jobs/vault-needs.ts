import { z } from 'zod';
import type { StoreRole } from '../catalog/vault-credentials.ts';
import type { JobKind, NeedsOf } from './job.ts';

const OnVault = z.object({ vaultId: z.string() });
/** A place beside the vault: a folder or a profile that only the host knows where it was named. */
const NamesPlace = z.union([
  z.object({ copy: z.looseObject({}) }),
  z.object({ to: z.looseObject({}) }),
]);
/** Whose rights jobs need, if not the collector's. */
const ROLES: Partial<Record<JobKind, StoreRole>> = {
  probe: 'administrator',
  keep: 'keeper',
  verify: 'restorer',
};

/** Returns what jobs of a kind need that work on one vault, and on nothing of their host. */
export function vaultNeeds(kind: JobKind): NeedsOf {
  return (parameters) => {
    const found = OnVault.safeParse(parameters);
    if (!found.success || NamesPlace.safeParse(parameters).success) {
      return undefined;
    }
    const { vaultId } = found.data;
    // What a scrub has proven is kept on its host, and the next one goes on there.
    const isSteady = kind === 'scrub';
    return { vaults: [{ vaultId, role: ROLES[kind] ?? 'collector' }], isSteady };
  };
}
