import type { PointCatalog } from '../../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { StoredSuspicion, SuspicionRows } from '../../catalog/suspicion/suspicion-rows.ts';
import { currentActor } from '../../kernel/actor.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Fault, isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import type { PointRetention } from '../../upkeep/point-retention.ts';
import { judge, POINTS_NEEDED } from './baseline.ts';

export interface SuspicionParts {
  readonly rows: SuspicionRows;
  readonly points: Pick<PointCatalog, 'newest'>;
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  readonly retention: Pick<PointRetention, 'hold' | 'releaseHold'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Log;
}

interface VmInVault {
  readonly vaultId: string;
  readonly vmId: string;
  readonly vmName: string;
}

/** A suspicion, with the name of its vault. */
export type NamedSuspicion = StoredSuspicion & { readonly vaultName: string };

/** What a person says of a VM. */
export interface SuspicionAnswer {
  /** Id or name of the VM. */
  readonly vm: string;
  readonly note: string | undefined;
  readonly retentionPassphrase: string | undefined;
}

/** A suspicion that was answered, and why the hold that was made for it stays, if it does. */
export interface ClearedSuspicion {
  readonly suspicion: NamedSuspicion;
  readonly holdStays: string | undefined;
}

/**
 * Notices what looks encrypted, once a point is sealed: holds the last clean point and lets nothing
 * of the VM be given up until a person answers.
 */
export class Suspicions {
  constructor(private readonly parts: SuspicionParts) {}

  /** Judges the newest point of a VM in a vault. */
  async weigh({ vaultId, vmId, vmName }: VmInVault, signal: AbortSignal): Promise<void> {
    const { rows, points, clock, log } = this.parts;
    const known = await rows.open({ vaultId, vmId });
    if (known.length === 0) {
      const newest = await points.newest({ vaultId, vmId }, POINTS_NEEDED);
      const found = judge(newest, await rows.answeredId({ vaultId, vmId }));
      const pointId = newest.at(-1)?.id;
      if (found === undefined || pointId === undefined) {
        return;
      }
      const { sinceId, lastCleanId = null, signals } = found;
      const texts = signals.map(({ text }) => text);
      log.error('suspicion.found', { vaultId, vmId, vm: vmName, pointId, why: texts.join('; ') });
      await rows.add({
        ...{ vaultId, vmId, vmName, pointId, sinceId, cleanId: lastCleanId, signals: texts },
        ...{ atMs: clock.nowMs(), holdKey: null, holdProblem: null },
        ...{ clearedAtMs: null, clearedBy: null, note: null, answeredId: null },
      });
    }
    // Also one of before, if the store was away then or this service ended.
    for (const open of await rows.open({ vaultId, vmId })) {
      await this.hold(open, signal);
    }
  }

  /** Lists all, the newest first. */
  async list(): Promise<NamedSuspicion[]> {
    return this.named(await this.parts.rows.list());
  }

  /** Lists those that nobody has answered. */
  async open(): Promise<NamedSuspicion[]> {
    return this.named(await this.parts.rows.open({}));
  }

  /** Returns the VMs of which nothing may be given up, and why. */
  async blocks(vaultId: string): Promise<ReadonlyMap<string, string>> {
    const open = await this.parts.rows.open({ vaultId });
    return new Map(
      open.map(({ vmId, sinceId }) => [vmId, `its content looks encrypted since ${sinceId}`]),
    );
  }

  /**
   * Takes what looks encrypted for usual, and ends the holds that were made for it where it can.
   * @throws Fault `suspicion.unknown`
   */
  async clear(answer: SuspicionAnswer, signal: AbortSignal): Promise<ClearedSuspicion[]> {
    const { rows, points, clock, log } = this.parts;
    const own = (await this.open()).filter(
      ({ vmId, vmName }) => vmId === answer.vm || vmName === answer.vm,
    );
    if (new Set(own.map(({ vmId }) => vmId)).size !== 1) {
      throw unknown(answer.vm, own);
    }
    const cleared: ClearedSuspicion[] = [];
    for (const suspicion of own) {
      const { vaultId, vmId } = suspicion;
      const [newest] = await points.newest({ vaultId, vmId }, 1);
      const change = {
        ...{ clearedAtMs: clock.nowMs(), clearedBy: currentActor(), note: answer.note ?? null },
        answeredId: newest?.id ?? suspicion.pointId,
      };
      await rows.change(suspicion, change);
      log.info('suspicion.cleared', { vaultId, vmId, by: change.clearedBy });
      const holdStays = await this.release(suspicion, answer.retentionPassphrase, signal);
      cleared.push({ suspicion: { ...suspicion, ...change }, holdStays });
    }
    return cleared;
  }

  private async hold(suspicion: StoredSuspicion, signal: AbortSignal): Promise<void> {
    const { vaultId, cleanId, sinceId, holdKey } = suspicion;
    if (cleanId === null || holdKey !== null) {
      return;
    }
    const { rows, retention } = this.parts;
    try {
      const reason = `the last point before content looked encrypted (${sinceId})`;
      const { key } = await retention.hold(vaultId, cleanId, reason, signal);
      await rows.change(suspicion, { holdKey: key, holdProblem: null });
    } catch (error) {
      if (!isFault(error)) {
        throw error;
      }
      await rows.change(suspicion, { holdProblem: error.message });
    }
  }

  /** @returns why the hold stays */
  private async release(
    { vaultId, holdKey }: StoredSuspicion,
    passphrase: string | undefined,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (holdKey === null) {
      return undefined;
    }
    try {
      await this.parts.retention.releaseHold(vaultId, holdKey, passphrase, signal);
      return undefined;
    } catch (error) {
      if (!isFault(error)) {
        throw error;
      }
      return error.message;
    }
  }

  /** Of a vault that was forgotten nothing can be answered. */
  private async named(rows: readonly StoredSuspicion[]): Promise<NamedSuspicion[]> {
    const vaults = new Map((await this.parts.vaults.list()).map(({ id, name }) => [id, name]));
    return rows.flatMap((row) => {
      const vaultName = vaults.get(row.vaultId);
      return vaultName === undefined ? [] : [{ ...row, vaultName }];
    });
  }
}

function unknown(vm: string, several: readonly NamedSuspicion[]): Fault {
  const ids = [...new Set(several.map(({ vmId }) => vmId))];
  return new Fault(
    'suspicion.unknown',
    ids.length === 0
      ? `Nothing is suspected of a VM ${vm}; see hyperkeep suspicion list.`
      : `Several VMs are called ${vm}: ${ids.join(', ')}. Nothing was changed; give the id.`,
    { vm },
  );
}
