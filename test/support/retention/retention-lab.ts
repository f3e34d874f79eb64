import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { CatalogAge } from '../../../src/catalog/catalog-age.ts';
import { cataloguePoints } from '../../../src/catalog/catalogue-points.ts';
import { InventoryRows } from '../../../src/catalog/inventory-rows.ts';
import { PointCatalog } from '../../../src/catalog/point-catalog.ts';
import { PointProofs } from '../../../src/catalog/point-proofs.ts';
import { PolicyRows } from '../../../src/catalog/policy-rows.ts';
import type { RegisteredVaults } from '../../../src/catalog/registered-vaults.ts';
import { RetentionRows } from '../../../src/catalog/retention-rows.ts';
import { RunRows } from '../../../src/catalog/run-rows.ts';
import { HostRow } from '../../../src/catalog/rows/host.row.ts';
import { VaultRegistrations } from '../../../src/catalog/vault-registrations.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { PolicyDocument } from '../../../src/policies/document/policy-document.ts';
import type { SelectableVm } from '../../../src/policies/document/selector.ts';
import {
  isReadable,
  policyInForce,
  type KnownPolicy,
  type PolicyInForce,
} from '../../../src/policies/known-policy.ts';
import { PublishedDecisions } from '../../../src/policies/retention/deciding/published-decisions.ts';
import { PointKeeping } from '../../../src/policies/retention/deciding/point-keeping.ts';
import { Retention } from '../../../src/policies/retention/deciding/retention.service.ts';
import type { RetentionReport } from '../../../src/policies/retention/deciding/retention-report.ts';
import { StandingJudges } from '../../../src/policies/retention/deciding/standing-judges.ts';
import { VaultFacts } from '../../../src/policies/retention/deciding/vault-facts.ts';
import type { PointOrigin } from '../../../src/vault/format/point-origin.ts';
import type { OpenOptions } from '../../../src/vault/access/vault-options.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { HandClock } from '../schedule/hand-clock.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { LeavingOutStore } from '../vault/leaving-out-store.ts';
import { MemoryObjectStore } from '../vault/memory-object-store.ts';
import { createVault, FULL, openVault, signal } from '../vault/vault-lab.ts';

const DISK_BYTES = 64 * 1024;
const DAY_MS = 86_400_000;

interface ReadPolicies {
  list(): Promise<PolicyInForce[]>;
  read(name: string): Promise<KnownPolicy>;
}

type LabVaults = Pick<RegisteredVaults, 'openApart' | 'sync' | 'choose' | 'list'>;

/** A service's decisions on a real vault in memory, with a real database. */
export class RetentionLab {
  readonly clock: HandClock;
  readonly host = randomUUID();
  readonly store: LeavingOutStore;
  readonly points: PointCatalog;
  readonly rows: RetentionRows;
  readonly policyRows: PolicyRows;
  readonly retention: Retention;
  readonly keeping: PointKeeping;
  readonly proofs: PointProofs;
  readonly policies: ReadPolicies;
  readonly vaults: LabVaults;
  vms: SelectableVm[] = [{ id: randomUUID(), name: 'web', tags: [] }];
  /** What the disk of the next point is. */
  nextDisk = (): MemoryDisk => new MemoryDisk(DISK_BYTES);
  /** How the service opens the vault. */
  openOptions: OpenOptions = {};

  private constructor(
    private readonly source: DataSource,
    memory: ObjectStore,
    readonly vault: Vault,
    clock: HandClock,
  ) {
    this.clock = clock;
    this.store = new LeavingOutStore(memory);
    this.points = new PointCatalog(source);
    this.rows = new RetentionRows(source);
    this.policyRows = new PolicyRows(source);
    this.proofs = new PointProofs(source);
    const log = new SilentLog();
    const { points, rows, proofs } = this;
    const policies: ReadPolicies = {
      list: async () => (await this.policyRows.list()).map(policyInForce),
      read: async (name: string) => {
        const found = (await policies.list()).filter(isReadable).find((each) => each.name === name);
        if (found === undefined) {
          throw new Error(`no policy ${name}`);
        }
        return found;
      },
    };
    const registrations = new VaultRegistrations(source);
    const vaults: LabVaults = {
      openApart: async (_id, { spending }) => {
        const store = spending.meter(this.store);
        const opened = await openVault(store, this.openOptions);
        const registration = await registrations.get(vault.id);
        const end = async (): Promise<void> => opened.close();
        const { cacheFolder } = this.openOptions;
        const apart = { vault: opened, store, registration, cacheFolder };
        return { ...apart, [Symbol.asyncDispose]: end };
      },
      sync: async () => this.sync(),
      choose: async () => registrations.get(vault.id),
      list: async () => registrations.list(),
    };
    this.policies = policies;
    this.vaults = vaults;
    const facts = new VaultFacts({
      ...{ points, rows, proofs, clock, vms: async () => this.vms },
      runs: new RunRows(source),
      inventory: new InventoryRows(source),
      age: new CatalogAge(source),
    });
    const published = new PublishedDecisions(this.host, log);
    const judges = new StandingJudges({ policies: this.policyRows, rows });
    this.retention = new Retention({
      vaults,
      policies,
      facts,
      judges,
      rows,
      published,
      clock,
      log,
    });
    const { retention } = this;
    this.keeping = new PointKeeping({ policies, vaults, points, rows, retention, clock });
  }

  /** @param place where the vault is, and the time of policies; default: anew, and of some day */
  static async create(
    source: DataSource,
    options: Parameters<typeof createVault>[1] = {},
    place: { readonly store?: ObjectStore; readonly clock?: HandClock } = {},
  ): Promise<RetentionLab> {
    const { store = new MemoryObjectStore(), clock = new HandClock('2026-11-30T12:00Z') } = place;
    const { vault } = await createVault(store, options);
    const lab = new RetentionLab(source, store, vault, clock);
    const host = { id: lab.host, name: 'host', address: null, version: '0', lastSeenMs: 1 };
    await source.getRepository(HostRow).insert(host);
    const registered = { name: 'main', location: 'memory:', singleWriter: false, createdAtMs: 1 };
    await new VaultRegistrations(source).add({ id: vault.id, ...registered });
    return lab;
  }

  /** Makes a policy, or its next revision. */
  async policy(name: string, parts: object): Promise<void> {
    const document = PolicyDocument.parse({
      ...{ name, selector: { all: true }, vault: 'main', schedule: { cron: '0 12 * * *' } },
      ...parts,
    });
    const by = { author: 'test', atMs: this.clock.nowMs() };
    await this.policyRows.change(by, async (changes, stored) => {
      const known = stored.find((policy) => policy.name === name);
      await (known === undefined
        ? changes.create(name, document)
        : changes.revise(known, { change: 'changed', document }));
    });
  }

  /** Takes a point of the VM; default: of the policy `p`. @returns its id */
  async take(
    ageDays: number,
    origin: Partial<PointOrigin> = { kind: 'policy', service: this.host, policy: 'p' },
    vm = this.vms[0],
  ): Promise<string> {
    const disk = this.nextDisk();
    const { id: vmId = '', name: vmName = '' } = vm ?? {};
    await using writer = await this.vault.beginPoint({ vmId, vmName }, signal);
    const source = { diskId: 'disk', name: 'system', sizeBytes: disk.size };
    await writer.addDisk({ ...source, reader: disk.reader(), changes: FULL }, { signal });
    const takenAtMs = this.clock.nowMs() - ageDays * DAY_MS;
    const facts = { takenAtMs, consistency: 'crash', notes: [], configuration: {} } as const;
    const given = origin.kind === undefined ? {} : { origin: { ...origin, kind: origin.kind } };
    return (await writer.commit({ ...facts, ...given }, signal)).id;
  }

  /** Takes a point a day, the newest now. @returns ids, newest first */
  async takeDaily(days: number): Promise<string[]> {
    const ids: string[] = [];
    for (let age = days - 1; age >= 0; age -= 1) {
      ids.unshift(await this.take(age));
    }
    await this.sync();
    return ids;
  }

  async sync(): Promise<void> {
    await cataloguePoints(this.vault, this.points, new SilentLog(), signal);
  }

  async decide(): Promise<RetentionReport> {
    return this.retention.decide({ vaultId: this.vault.id, dryRun: false }, { signal });
  }

  /** Ids of the points that the vault has, newest first. */
  async left(): Promise<string[]> {
    const points = await this.vault.points(signal);
    return points.toSorted((a, b) => b.takenAtMs - a.takenAtMs).map(({ id }) => id);
  }

  /** As if the catalog had been restored from an older dump that does not know these points. */
  async forgetPoints(ids: readonly string[]): Promise<void> {
    await this.source.query('DELETE FROM "recovery_point" WHERE "id" = ANY($1)', [ids]);
    await this.source.query('DELETE FROM "point_decision" WHERE "point_id" = ANY($1)', [ids]);
  }

  async close(): Promise<void> {
    await this.vault.close();
  }
}
