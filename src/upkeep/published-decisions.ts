import { Injectable } from '@nestjs/common';
import { isDeepStrictEqual } from 'node:util';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Clock } from '../kernel/clock.ts';
import type { HostIdentity } from '../kernel/host-identity.ts';
import type { Log } from '../kernel/log.ts';
import type { Decision } from '../vault/records/record-object.ts';
import {
  ServiceRecords,
  type FoundRecord,
  type NewRecord,
} from '../vault/records/service-records.ts';

/** How many of the own records stay. */
const KEPT = 2;
/** A decision with every text as long as it may be has more than 700 bytes. */
const DECISIONS_MAX = 4096;

export interface PublishingParts {
  readonly vaults: Pick<RegisteredVaults, 'open'>;
  readonly host: Pick<HostIdentity, 'id'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Puts what this service has decided to give up where a collector finds it. */
@Injectable()
export class PublishedDecisions {
  constructor(private readonly parts: PublishingParts) {}

  /**
   * Replaces what this service published for the vault before; writes nothing if it is the same.
   * Publish what still stands: a decision that was carried out, or withdrawn, is left out. Of more
   * than 4,096 the first are published; the others follow once these were carried out.
   * @throws Fault `store.denied` if the writer's credentials must not put under `cat/`
   */
  async publish(
    vaultId: string,
    decisions: readonly Decision[],
    signal: AbortSignal,
  ): Promise<void> {
    const { vaults, host, clock, log } = this.parts;
    using held = await vaults.open(vaultId, 'writer', signal);
    const records = new ServiceRecords(held.vault.inside.base, log);
    const own = (await records.read(signal, host.id)).filter(isOfDecisions);
    const wanted = decisions.slice(0, DECISIONS_MAX);
    const newest = own.at(-1)?.record;
    const isSame =
      newest?.kind === 'decisions'
        ? isDeepStrictEqual(newest.decisions, wanted)
        : wanted.length === 0;
    if (isSame) {
      return;
    }
    const record: NewRecord = { kind: 'decisions', atMs: clock.nowMs(), decisions: wanted };
    await records.put(host.id, record, signal);
    for (const { name } of own.slice(0, Math.max(0, own.length + 1 - KEPT))) {
      await records.remove(name, signal);
    }
  }
}

function isOfDecisions({ record }: FoundRecord): boolean {
  return record.kind === 'decisions';
}
