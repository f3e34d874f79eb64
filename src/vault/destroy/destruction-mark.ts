import { Fault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { recordPrefix } from '../format/record-names.ts';
import { ServiceRecords, type RecordsBase } from '../records/service-records.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** Returns where the mark of a vault lies: no service has such an id. */
export function markService(vaultId: string): string {
  return `destroy-${vaultId}`;
}

/** Says in the vault that it is being destroyed, durably, before anything of it goes. */
export async function markDestroyed(
  base: RecordsBase,
  mark: { readonly by: string; readonly atMs: number },
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const service = markService(base.keys.vaultId.toString('hex'));
  const records = new ServiceRecords(base, log);
  await records.put(service, { kind: 'destruction', ...mark }, signal);
  if (!(await isMarked(base, log, signal))) {
    throw new Fault(
      'store.nonsense',
      `The note in ${base.store.location} that the vault is being destroyed did not come back as it was written. Nothing was removed.`,
    );
  }
}

/** @throws Fault `vault.being-destroyed` if somebody has begun to destroy the vault */
export async function refuseDestroyed(
  base: RecordsBase,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (await isMarked(base, log, signal)) {
    throw beingDestroyed(base.store.location);
  }
}

export function beingDestroyed(place: string): Fault {
  return new Fault(
    'vault.being-destroyed',
    `The vault at ${place} is being destroyed: what it still shows is not all that it had.`,
    { location: place },
  );
}

/** Whether the place has the mark of this vault, for whoever cannot open it any more. */
export async function hasMark(
  store: ObjectStore,
  vaultId: string,
  signal: AbortSignal,
): Promise<boolean> {
  for await (const { key } of store.list(recordPrefix(markService(vaultId)), signal)) {
    return key !== '';
  }
  return false;
}

async function isMarked(base: RecordsBase, log: Log, signal: AbortSignal): Promise<boolean> {
  const service = markService(base.keys.vaultId.toString('hex'));
  const found = await new ServiceRecords(base, log).read(signal, service);
  return found.some(({ record }) => record.kind === 'destruction');
}
