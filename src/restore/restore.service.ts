import { Injectable } from '@nestjs/common';
import { join } from 'node:path';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Engine, VmSummary } from '../engines/engine.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { mapAtOnce } from '../kernel/waiting/map-at-once.ts';
import { limiterFor } from '../kernel/rates/rate-limiter.ts';
import type { RateLimits } from '../kernel/rates/rate-limits.ts';
import type { ReportProgress } from '../kernel/progress.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import { incompleteText, pointSets } from '../vault/retention/point-sets.ts';
import { HeldLease } from '../vault/records/held-lease.ts';
import type { Vault } from '../vault/vault.ts';
import type { VmDefinition } from '../vm/definition.ts';
import { refuseIdAsName } from '../vm/new-name.ts';
import { storedDefinition, type BootFiles } from '../vm/restored-definition.ts';
import type { RestoreJournal } from './restore-journal.ts';
import { writePlan, type CreateImage, type Written } from '../vault/restoring/plan-writer.ts';
import {
  bootFilesFor,
  filesOf,
  planDisk,
  planVm,
  type ImageFormat,
  type RestorePlan,
} from '../vault/restoring/restore-plan.ts';

export interface PointReference {
  readonly vaultId: string;
  readonly pointId: string;
}

interface Limited {
  /** For what is read from the vault. */
  readonly rateLimits?: RateLimits | undefined;
}

export interface RestoreVm extends PointReference, Limited {
  /**
   * Gives the VM new ids and MAC addresses. Undefined: restores the VM as it was, and the original
   * must be gone.
   */
  readonly newName?: string | undefined;
  /** Default: a folder with the VM's name under the service's home. */
  readonly folder?: string | undefined;
  readonly format: ImageFormat;
  readonly bootFiles: BootFiles;
  readonly add: boolean;
  readonly start: boolean;
}

export interface RestoreDisk extends PointReference, Limited {
  readonly disk?: string | undefined;
  readonly file: string;
  readonly format: ImageFormat;
}

export interface Restored {
  readonly point: RecoveryPoint;
  readonly files: readonly string[];
  readonly writtenBytes: number;
  readonly durationMs: number;
  readonly definition?: VmDefinition;
  readonly added: boolean;
  readonly started: boolean;
  readonly notes: readonly string[];
}

interface Running {
  readonly signal: AbortSignal;
  readonly report: ReportProgress;
}

export interface RestoreCollaborators {
  readonly engine: Pick<Engine, 'list' | 'add' | 'start'>;
  readonly vaults: Pick<RegisteredVaults, 'open'>;
  readonly createImage: CreateImage;
  readonly journal: Pick<RestoreJournal, 'begin'>;
  /** Where VMs are restored to by default. */
  readonly folder: string;
}

/** Restores recovery points. */
@Injectable()
export class RestoreService {
  constructor(
    private readonly collaborators: RestoreCollaborators,
    private readonly clock: Clock,
  ) {}

  /** Restores a whole VM to new files, and adds it to the engine if requested. */
  async restoreVm(request: RestoreVm, running: Running): Promise<Restored> {
    const { engine, vaults } = this.collaborators;
    const { signal } = running;
    const startedMs = this.clock.monotonicMs();
    using held = await vaults.open(request.vaultId, 'restorer', signal);
    const { vault } = held;
    const point = await vault.point(request.pointId, signal);
    const ofSet = await setNotes(point, vault, signal);
    const telling = told(running, ofSet);
    const vms = await engine.list(signal);
    const stored = storedDefinition(point.configuration);
    if (request.newName !== undefined) {
      refuseIdAsName(request.newName);
    }
    refuseTaken(vms, stored, request.newName);
    const plan = planVm(point, {
      folder: request.folder ?? join(this.collaborators.folder, request.newName ?? stored.name),
      format: request.format,
      bootFiles: bootFilesFor(
        stored.firmware,
        request.bootFiles,
        vms.flatMap(({ definition }) => definition?.firmware ?? []),
      ),
      ...(request.newName === undefined ? {} : { newName: request.newName }),
    });
    const { bytes: writtenBytes, notes } = await this.write(plan, vault, request, telling);
    const definition = plan.definition?.content;
    const added = request.add && definition !== undefined;
    if (added) {
      telling.report({ phase: 'adding', doneBytes: writtenBytes, totalBytes: writtenBytes });
      await engine.add(definition, signal);
      if (request.start) {
        await engine.start(definition.id, signal);
      }
    }
    return {
      point,
      files: filesOf(plan),
      writtenBytes,
      durationMs: this.clock.monotonicMs() - startedMs,
      ...(definition === undefined ? {} : { definition }),
      added,
      started: added && request.start,
      notes: [...notes, ...ofSet],
    };
  }

  /** Restores one disk to a new file. */
  async restoreDisk(request: RestoreDisk, running: Running): Promise<Restored> {
    const startedMs = this.clock.monotonicMs();
    using held = await this.collaborators.vaults.open(request.vaultId, 'restorer', running.signal);
    const { vault } = held;
    const point = await vault.point(request.pointId, running.signal);
    const ofSet = await setNotes(point, vault, running.signal);
    const telling = told(running, ofSet);
    const plan = planDisk(point, request.disk, request);
    const { bytes: writtenBytes, notes } = await this.write(plan, vault, request, telling);
    return {
      point,
      files: filesOf(plan),
      writtenBytes,
      durationMs: this.clock.monotonicMs() - startedMs,
      added: false,
      started: false,
      notes: [...notes, ...ofSet],
    };
  }

  private async write(
    plan: RestorePlan,
    vault: Vault,
    { rateLimits }: Limited,
    running: Running,
  ): Promise<Written & { readonly notes: readonly string[] }> {
    const { createImage, journal } = this.collaborators;
    await using held = new AsyncDisposableStack();
    const options = { purpose: 'a restore' };
    const lease = held.use(
      await HeldLease.take(vault.inside, [plan.point], options, running.signal),
    );
    held.use(await journal.begin(filesOf(plan)));
    const limiter = limiterFor(rateLimits, this.clock);
    const written = await writePlan(plan, vault, createImage, { ...running, limiter });
    return { ...written, notes: notesOf(plan, written, lease) };
  }
}

function notesOf(
  { notes }: RestorePlan,
  { idsChecked }: Written,
  { isInForce }: HeldLease,
): readonly string[] {
  return [...notes, ...(idsChecked ? [] : [NO_IDS]), ...(isInForce ? [] : [NO_LEASE])];
}

const NO_IDS =
  'Every byte was authenticated, but this host cannot compute the chunk ids of the vault: that each chunk is the one that was backed up is not proven.';
const NO_LEASE =
  'Others could not see that the point was being read, because the credentials for restores must not write into the vault: nothing kept them from giving it up meanwhile.';

/** Members of a set whose points are listed at once. */
const LISTED_AT_ONCE = 4;

/** Says the notes of a point with each report; the first comes before anything is written. */
function told({ signal, report }: Running, notes: readonly string[]): Running {
  if (notes.length === 0) {
    return { signal, report };
  }
  return {
    signal,
    report: (progress) => {
      report({ ...progress, notes });
    },
  };
}

async function setNotes(
  { origin }: RecoveryPoint,
  vault: Vault,
  signal: AbortSignal,
): Promise<string[]> {
  if (origin?.group === undefined) {
    return [];
  }
  const { group, members = [] } = origin;
  const own = await mapAtOnce(members, LISTED_AT_ONCE, async (vmId) => vault.points(signal, vmId));
  const set = pointSets(own.flat()).find(({ groupId }) => groupId === group);
  return set === undefined || set.isComplete ? [] : [incompleteText(set)];
}

/** Refuses a name or ids that a VM here has. */
function refuseTaken(
  vms: readonly VmSummary[],
  stored: VmDefinition,
  newName: string | undefined,
): void {
  const name = newName ?? stored.name;
  const taken = vms.some(
    (vm) => vm.name === name || (newName === undefined && vm.id === stored.id),
  );
  if (taken) {
    throw new Fault(
      'engine.vm-exists',
      `The VM ${name} is on this host; restore it under another name.`,
      { name },
    );
  }
}
