import { isFault } from '../../../kernel/fault.ts';
import type { Log } from '../../../kernel/log.ts';
import type { Decision } from '../../../vault/records/record-object.ts';
import { ServiceRecords } from '../../../vault/records/service-records.ts';
import {
  RECORD_POINTS_MAX,
  RECORD_TEXT_CHARACTERS_MAX,
} from '../../../vault/format/record-names.ts';
import type { Vault } from '../../../vault/vault.ts';
import type { ReportedPoint } from './retention-report.ts';

/** Of the records of this service, so many stay: docs/service-records.md, section 4. */
const KEPT = 2;

/** What this service has decided to give up, in the vault, for a collector on another machine. */
export class PublishedDecisions {
  /** @param service the id of this service */
  constructor(
    private readonly service: string,
    private readonly log: Log,
  ) {}

  /**
   * Writes what waits to be given up, if it is not what the vault has already. A service that may
   * not write there keeps it to itself: who gives up there decides for itself.
   */
  async publish(
    vault: Vault,
    waiting: readonly ReportedPoint[],
    atMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const records = new ServiceRecords(vault.inside.base, this.log);
    const own = (await records.read(signal, this.service)).filter(
      ({ record }) => record.kind === 'decisions',
    );
    const last = own.at(-1)?.record;
    const before = last?.kind === 'decisions' ? last.decisions : [];
    const decisions = waiting.slice(0, RECORD_POINTS_MAX).map((point) => decisionOf(point, atMs));
    if (idsOf(before) === idsOf(decisions)) {
      return;
    }
    try {
      await records.put(this.service, { kind: 'decisions', atMs, decisions }, signal);
    } catch (error) {
      if (!isFault(error, 'store.denied')) {
        throw error;
      }
      this.log.warn('retention.not-published', { vaultId: vault.id });
      return;
    }
    for (const { name } of own.slice(0, Math.max(0, own.length + 1 - KEPT))) {
      await records.remove(name, signal);
    }
  }
}

function decisionOf({ pointId, vmId, because }: ReportedPoint, atMs: number): Decision {
  const policy = because.find((reason) => reason.policy !== undefined)?.policy;
  const reason = because.map(({ rule, period }) => `${rule} ${period}`.trim()).join(', ');
  return {
    ...{ vm: vmId, point: pointId, decidedAtMs: atMs },
    reason: reason.slice(0, RECORD_TEXT_CHARACTERS_MAX),
    ...(policy === undefined ? {} : { policy }),
  };
}

function idsOf(decisions: readonly Decision[]): string {
  return decisions
    .map(({ point }) => point)
    .sort()
    .join(' ');
}
