import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { VaultApart } from '../catalog/stored-vaults.ts';
import type { VaultRegistration } from '../catalog/vault-registrations.ts';
import type { VaultUse } from '../catalog/vault-use/vault-use.ts';
import { FailedWith } from '../jobs/job.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { HostIdentity } from '../kernel/host-identity.ts';
import type { Log } from '../kernel/log.ts';
import { Spending } from '../vault/budget/spending.ts';
import {
  destroyObjects,
  findObjects,
  requireThisVault,
  type DestructionReport,
} from '../vault/destroy/destruction.ts';
import { hasMark, markDestroyed } from '../vault/destroy/destruction-mark.ts';
import { keptByStore } from '../vault/destroy/locked-objects.ts';
import { Holds } from '../vault/points/holds.ts';
import { ReadingLeases } from '../vault/records/reading-leases.ts';
import type { ObjectStore } from '../vault/store/object-store.ts';
import type { Running, UpkeepRequest } from './upkeep-work.ts';

export interface DestroyRequest extends UpkeepRequest {
  readonly dryRun: boolean;
  /** Must be that of the vault, unless it is a dry run. */
  readonly name?: string | undefined;
  /** Also while jobs, readers or holds are in its way. */
  readonly evenIfUsed: boolean;
}

export interface DestructionParts {
  readonly vaults: Pick<RegisteredVaults, 'choose' | 'openApart' | 'openPlace' | 'forget'>;
  readonly use: VaultUse;
  readonly clock: Clock;
  readonly host: Pick<HostIdentity, 'name'>;
  readonly log: Log;
}

/** Who uses a vault, and what would have to be told first. */
interface InTheWay {
  readonly jobs: readonly string[];
  readonly readers: readonly string[];
  readonly holds: number;
}

const NOTHING: InTheWay = { jobs: [], readers: [], holds: 0 };

/** Removes whole vaults. */
export class VaultDestruction {
  constructor(private readonly parts: DestructionParts) {}

  /**
   * Says what would go, or removes the vault and ends its registration. What was begun goes on at
   * the next call.
   * @throws Fault `vault.in-use`, `vault.destroy-incomplete`
   */
  async destroy(
    request: DestroyRequest,
    running: Running & { readonly jobId: string },
  ): Promise<object> {
    const registration = await this.parts.vaults.choose(request.vaultId);
    const spending = new Spending(request.limits);
    const asked = { spending, role: 'collector' } as const;
    const { vaults } = this.parts;
    await using place = await vaults.openPlace(registration.id, asked, running.signal);
    const { id, destroyingAtMs } = registration;
    const isBegun =
      destroyingAtMs !== undefined || (await hasMark(place.store, id, running.signal));
    const inTheWay = isBegun ? NOTHING : await this.inTheWay(registration, running);
    if (request.dryRun) {
      const plan = await this.plan(registration, place.store, inTheWay, running);
      return { kind: 'destroy', plan, spending: spending.report };
    }
    refuse(registration, request, inTheWay);
    await requireThisVault(place.store, id, running.signal);
    const { objects } = await findObjects(place.store, running.signal);
    await this.begin(registration, { store: place.store, objects }, running.signal);
    const report = await destroyObjects(place.store, id, running);
    this.parts.log.warn('vault.destroyed', { vaultId: id, ...report.removed });
    const result = { kind: 'destroy', report, spending: spending.report };
    if (!report.isEmpty) {
      throw new FailedWith(incomplete(registration, report), result);
    }
    await vaults.forget(id);
    return result;
  }

  private async plan(
    { id, name, destroyingAtMs }: VaultRegistration,
    store: ObjectStore,
    inTheWay: InTheWay,
    { signal }: Running,
  ): Promise<object> {
    const { use, clock } = this.parts;
    const found = await findObjects(store, signal);
    const kept = await keptByStore(store, found.objects, clock.nowMs(), signal);
    return {
      ...{ vault: name, location: store.location, ...found, inTheWay },
      policies: await use.policies(name),
      elsewhere: await use.pointsElsewhere(id),
      ...(kept === undefined ? {} : { kept }),
      ...(destroyingAtMs === undefined ? {} : { begunAtMs: destroyingAtMs }),
    };
  }

  private async inTheWay(
    { id }: VaultRegistration,
    { signal, jobId }: Running & { readonly jobId: string },
  ): Promise<InTheWay> {
    await using opened = await this.open(id, signal);
    const { inside } = opened.vault;
    const reading = await new ReadingLeases(inside).list(signal);
    const holds = await new Holds(inside.base, inside.log).list(signal);
    const jobs = await this.parts.use.jobs(id, jobId);
    return {
      jobs: jobs.map((job) => `${job.kind} ${job.id} (${job.state})`),
      readers: [...new Set(reading.map(({ reader }) => reader))],
      holds: holds.length,
    };
  }

  /** Opens the vault, though somebody has begun to destroy it. */
  private async open(vaultId: string, signal: AbortSignal): Promise<VaultApart> {
    const asked = { spending: new Spending(), role: 'collector', evenDestroyed: true } as const;
    return this.parts.vaults.openApart(vaultId, asked, signal);
  }

  /** From now on nobody opens it: by the database here, by the mark elsewhere. */
  private async begin(
    { id }: VaultRegistration,
    { store, objects }: { readonly store: ObjectStore; readonly objects: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { use, clock, host } = this.parts;
    await use.begin(id, clock.nowMs());
    if (objects === 0 || (await hasMark(store, id, signal))) {
      return;
    }
    await using opened = await this.open(id, signal);
    const { base, log } = opened.vault.inside;
    await markDestroyed(base, { by: host.name, atMs: clock.nowMs() }, log, signal);
  }
}

function refuse(
  { name }: VaultRegistration,
  request: DestroyRequest,
  { jobs, readers, holds }: InTheWay,
): void {
  if (request.name !== name) {
    throw new Fault(
      'request.invalid',
      `To destroy the vault ${name} its name must be given again. Nothing was changed.`,
    );
  }
  const uses = [
    ...jobs.map((job) => `the job ${job}`),
    ...readers,
    ...(holds > 0 ? [`${String(holds)} held points`] : []),
  ];
  if (uses.length > 0 && !request.evenIfUsed) {
    throw new Fault(
      'vault.in-use',
      `The vault ${name} is used: ${uses.slice(0, USES_SHOWN).join('; ')}. Nothing was changed.`,
      { vault: name, uses: uses.length },
    );
  }
}

const USES_SHOWN = 5;

function incomplete({ name }: VaultRegistration, { denied }: DestructionReport): Fault {
  const classes = Object.keys(denied).join(', ');
  return new Fault(
    'vault.destroy-incomplete',
    `Points or packs of the vault ${name} are left${classes === '' ? '' : `, because the collector's credentials may not remove ${classes}`}. Nobody can use what is left.`,
    { vault: name },
  );
}
