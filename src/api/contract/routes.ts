import { AcceptCatalog, CatalogAccepted } from './catalog.ts';
import { EXPORT_ROUTES } from './exports/exports.ts';
import { ForgetHost, HostForgotten, HostList } from './hosts.ts';
import { Job, JobList, StartBackup, StartRestore, StartVerification } from './jobs.ts';
import { Point, PointList } from './points.ts';
import { COLLECTOR_ROUTES } from './collector.ts';
import { ProtectionStatus } from './policies.ts';
import { CARE_ROUTES } from './policy/care.ts';
import { POLICY_ROUTES } from './policy/policy-routes.ts';
import { SUSPICION_ROUTES } from './policy/suspicions.ts';
import type { Route } from './route.ts';
import { RunList } from './policy/runs.ts';
import { ServiceStatus } from './service.ts';
import {
  HoldList,
  HoldPoint,
  ReleasePoint,
  RetiredList,
  RetirePoints,
  StartCopy,
  StartDestroy,
  StartKeep,
  StartPlain,
  StartPrune,
  StartRepair,
  StartRetirementPlan,
  StartRevive,
  StartScrub,
} from './upkeep.ts';
import { CreateToken, Token, TokenCreated, TokenList } from './tokens.ts';
import { CredentialsList, SetCredentials } from './vault-credentials.ts';
import { CreateVault, VaultCreated, VaultList, VaultSummary } from './vaults.ts';
import {
  AcceptDisks,
  AcceptedDisks,
  AddVm,
  ChangeTags,
  StopVm,
  Vm,
  VmList,
  VmReleased,
} from './vms.ts';

/** Prefix of every path. Requests over TCP carry `Authorization: Bearer TOKEN`. */
export const API_PREFIX = '/api/v1';

/** Server-sent events of one job: event `job`, data a Job; the stream ends after the last state. */
export const jobEventsPath = (jobId: string): string => `${API_PREFIX}/jobs/${jobId}/events`;

/**
 * Every route: method, path under API_PREFIX, scope, JSON body, and answer on success. Queries are
 * VmQuery, PointQuery, JobQuery, RunQuery, CareQuery, CareRunQuery, PolicyTextQuery,
 * SimulationQuery and DestroyVm. A `:vm` or `:vault` is an id or a name, a `:policy` a name.
 */
export const ROUTES = {
  service: { method: 'GET', path: '/service', scope: 'read', answer: ServiceStatus },
  listVaults: { method: 'GET', path: '/vaults', scope: 'read', answer: VaultList },
  getVault: { method: 'GET', path: '/vaults/:vault', scope: 'read', answer: VaultSummary },
  createVault: {
    method: 'POST',
    path: '/vaults',
    scope: 'admin',
    body: CreateVault,
    answer: VaultCreated,
  },
  forgetVault: { method: 'DELETE', path: '/vaults/:vault', scope: 'admin' },
  listCredentials: {
    method: 'GET',
    path: '/vaults/:vault/credentials',
    scope: 'admin',
    answer: CredentialsList,
  },
  setCredentials: {
    method: 'POST',
    path: '/vaults/:vault/credentials',
    scope: 'admin',
    body: SetCredentials,
    answer: CredentialsList,
  },
  removeCredentials: {
    method: 'DELETE',
    path: '/vaults/:vault/credentials/:role',
    scope: 'admin',
    answer: CredentialsList,
  },
  probeVault: {
    method: 'POST',
    path: '/vaults/:vault/probe',
    scope: 'operate',
    body: StartPlain,
    answer: Job,
  },
  measureVault: {
    method: 'POST',
    path: '/vaults/:vault/usage',
    scope: 'operate',
    body: StartPlain,
    answer: Job,
  },
  pruneVault: {
    method: 'POST',
    path: '/vaults/:vault/prune',
    scope: 'admin',
    body: StartPrune,
    answer: Job,
  },
  scrubVault: {
    method: 'POST',
    path: '/vaults/:vault/scrub',
    scope: 'operate',
    body: StartScrub,
    answer: Job,
  },
  repairVault: {
    method: 'POST',
    path: '/vaults/:vault/repair',
    scope: 'operate',
    body: StartRepair,
    answer: Job,
  },
  copyVault: {
    method: 'POST',
    path: '/vaults/:vault/copy',
    scope: 'operate',
    body: StartCopy,
    answer: Job,
  },
  keepLocks: {
    method: 'POST',
    path: '/vaults/:vault/keep',
    scope: 'operate',
    body: StartKeep,
    answer: Job,
  },
  destroyVault: {
    method: 'POST',
    path: '/vaults/:vault/destroy',
    scope: 'admin',
    body: StartDestroy,
    answer: Job,
  },
  planRetirement: {
    method: 'POST',
    path: '/vaults/:vault/retirement-plan',
    scope: 'operate',
    body: StartRetirementPlan,
    answer: Job,
  },
  retirePoints: {
    method: 'POST',
    path: '/vaults/:vault/retire',
    scope: 'admin',
    body: RetirePoints,
    answer: RetiredList,
  },
  revivePoint: {
    method: 'POST',
    path: '/vaults/:vault/revive',
    scope: 'operate',
    body: StartRevive,
    answer: Job,
  },
  listRetired: {
    method: 'GET',
    path: '/vaults/:vault/retired',
    scope: 'read',
    answer: RetiredList,
  },
  listHolds: { method: 'GET', path: '/vaults/:vault/holds', scope: 'read', answer: HoldList },
  holdPoint: {
    method: 'POST',
    path: '/vaults/:vault/hold',
    scope: 'operate',
    body: HoldPoint,
    answer: HoldList,
  },
  releasePoint: {
    method: 'POST',
    path: '/vaults/:vault/release',
    scope: 'admin',
    body: ReleasePoint,
    answer: HoldList,
  },
  listHosts: { method: 'GET', path: '/hosts', scope: 'read', answer: HostList },
  forgetHost: {
    method: 'POST',
    path: '/hosts/:host/forget',
    scope: 'admin',
    body: ForgetHost,
    answer: HostForgotten,
  },
  listVms: { method: 'GET', path: '/vms', scope: 'read', answer: VmList },
  getVm: { method: 'GET', path: '/vms/:vm', scope: 'read', answer: Vm },
  addVm: { method: 'POST', path: '/vms', scope: 'operate', body: AddVm, answer: Vm },
  startVm: { method: 'POST', path: '/vms/:vm/start', scope: 'operate', answer: Vm },
  stopVm: { method: 'POST', path: '/vms/:vm/stop', scope: 'operate', body: StopVm, answer: Vm },
  changeTags: {
    method: 'POST',
    path: '/vms/:vm/tags',
    scope: 'admin',
    body: ChangeTags,
    answer: Vm,
  },
  acceptDisks: {
    method: 'POST',
    path: '/vms/:vm/accept',
    scope: 'admin',
    body: AcceptDisks,
    answer: AcceptedDisks,
  },
  releaseVm: { method: 'POST', path: '/vms/:vm/release', scope: 'admin', answer: VmReleased },
  destroyVm: { method: 'DELETE', path: '/vms/:vm', scope: 'admin' },
  startBackup: {
    method: 'POST',
    path: '/backups',
    scope: 'operate',
    body: StartBackup,
    answer: Job,
  },
  listPoints: { method: 'GET', path: '/points', scope: 'read', answer: PointList },
  getPoint: { method: 'GET', path: '/points/:point', scope: 'read', answer: Point },
  startRestore: {
    method: 'POST',
    path: '/restores',
    scope: 'operate',
    body: StartRestore,
    answer: Job,
  },
  startVerification: {
    method: 'POST',
    path: '/verifications',
    scope: 'operate',
    body: StartVerification,
    answer: Job,
  },
  listRuns: { method: 'GET', path: '/runs', scope: 'read', answer: RunList },
  listJobs: { method: 'GET', path: '/jobs', scope: 'read', answer: JobList },
  getJob: { method: 'GET', path: '/jobs/:job', scope: 'read', answer: Job },
  listTokens: { method: 'GET', path: '/tokens', scope: 'admin', answer: TokenList },
  createToken: {
    method: 'POST',
    path: '/tokens',
    scope: 'admin',
    body: CreateToken,
    answer: TokenCreated,
  },
  revokeToken: { method: 'DELETE', path: '/tokens/:token', scope: 'admin', answer: Token },
  cancelJob: { method: 'POST', path: '/jobs/:job/cancel', scope: 'operate', answer: Job },
  ...EXPORT_ROUTES,
  ...POLICY_ROUTES,
  acceptCatalog: {
    method: 'POST',
    path: '/catalog/accept',
    scope: 'admin',
    body: AcceptCatalog,
    answer: CatalogAccepted,
  },
  ...CARE_ROUTES,
  ...COLLECTOR_ROUTES,
  ...SUSPICION_ROUTES,
  protection: { method: 'GET', path: '/protection', scope: 'read', answer: ProtectionStatus },
} as const satisfies Readonly<Record<string, Route>>;
