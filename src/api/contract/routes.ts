import { Job, JobList, StartBackup, StartRestore, StartVerification } from './jobs.ts';
import { Point, PointList } from './points.ts';
import { ServiceStatus } from './service.ts';
import {
  HoldList,
  HoldPoint,
  ReleasePoint,
  RetiredList,
  RetirePoints,
  StartCopy,
  StartKeep,
  StartPlain,
  StartPrune,
  StartRepair,
  StartRetirementPlan,
  StartRevive,
  StartScrub,
} from './upkeep.ts';
import { CreateVault, VaultCreated, VaultList, VaultSummary } from './vaults.ts';
import { AcceptDisks, AcceptedDisks, AddVm, StopVm, Vm, VmList, VmReleased } from './vms.ts';

/** Prefix of every path. Requests over TCP carry `Authorization: Bearer TOKEN`. */
export const API_PREFIX = '/api/v1';

/** Server-sent events of one job: event `job`, data a Job; the stream ends after the last state. */
export const jobEventsPath = (jobId: string): string => `${API_PREFIX}/jobs/${jobId}/events`;

/**
 * Every route: method, path under API_PREFIX, JSON body, and answer on success. Queries are
 * PointQuery and JobQuery; DestroyVm is a query too. A `:vm` or `:vault` is an id or a name.
 */
export const ROUTES = {
  service: { method: 'GET', path: '/service', answer: ServiceStatus },
  listVaults: { method: 'GET', path: '/vaults', answer: VaultList },
  getVault: { method: 'GET', path: '/vaults/:vault', answer: VaultSummary },
  createVault: { method: 'POST', path: '/vaults', body: CreateVault, answer: VaultCreated },
  forgetVault: { method: 'DELETE', path: '/vaults/:vault' },
  probeVault: { method: 'POST', path: '/vaults/:vault/probe', body: StartPlain, answer: Job },
  measureVault: { method: 'POST', path: '/vaults/:vault/usage', body: StartPlain, answer: Job },
  pruneVault: { method: 'POST', path: '/vaults/:vault/prune', body: StartPrune, answer: Job },
  scrubVault: { method: 'POST', path: '/vaults/:vault/scrub', body: StartScrub, answer: Job },
  repairVault: { method: 'POST', path: '/vaults/:vault/repair', body: StartRepair, answer: Job },
  copyVault: { method: 'POST', path: '/vaults/:vault/copy', body: StartCopy, answer: Job },
  keepLocks: { method: 'POST', path: '/vaults/:vault/keep', body: StartKeep, answer: Job },
  planRetirement: {
    method: 'POST',
    path: '/vaults/:vault/retirement-plan',
    body: StartRetirementPlan,
    answer: Job,
  },
  retirePoints: {
    method: 'POST',
    path: '/vaults/:vault/retire',
    body: RetirePoints,
    answer: RetiredList,
  },
  revivePoint: { method: 'POST', path: '/vaults/:vault/revive', body: StartRevive, answer: Job },
  listRetired: { method: 'GET', path: '/vaults/:vault/retired', answer: RetiredList },
  listHolds: { method: 'GET', path: '/vaults/:vault/holds', answer: HoldList },
  holdPoint: { method: 'POST', path: '/vaults/:vault/hold', body: HoldPoint, answer: HoldList },
  releasePoint: {
    method: 'POST',
    path: '/vaults/:vault/release',
    body: ReleasePoint,
    answer: HoldList,
  },
  listVms: { method: 'GET', path: '/vms', answer: VmList },
  getVm: { method: 'GET', path: '/vms/:vm', answer: Vm },
  addVm: { method: 'POST', path: '/vms', body: AddVm, answer: Vm },
  startVm: { method: 'POST', path: '/vms/:vm/start', answer: Vm },
  stopVm: { method: 'POST', path: '/vms/:vm/stop', body: StopVm, answer: Vm },
  acceptDisks: {
    method: 'POST',
    path: '/vms/:vm/accept',
    body: AcceptDisks,
    answer: AcceptedDisks,
  },
  releaseVm: { method: 'POST', path: '/vms/:vm/release', answer: VmReleased },
  destroyVm: { method: 'DELETE', path: '/vms/:vm' },
  startBackup: { method: 'POST', path: '/backups', body: StartBackup, answer: Job },
  listPoints: { method: 'GET', path: '/points', answer: PointList },
  getPoint: { method: 'GET', path: '/points/:point', answer: Point },
  startRestore: { method: 'POST', path: '/restores', body: StartRestore, answer: Job },
  startVerification: {
    method: 'POST',
    path: '/verifications',
    body: StartVerification,
    answer: Job,
  },
  listJobs: { method: 'GET', path: '/jobs', answer: JobList },
  getJob: { method: 'GET', path: '/jobs/:job', answer: Job },
  cancelJob: { method: 'POST', path: '/jobs/:job/cancel', answer: Job },
} as const;
