import { In, type DataSource, type EntityManager } from 'typeorm';
import { HostRow } from './rows/host.row.ts';
import { RunRow } from './rows/run.row.ts';
import { VmRow } from './rows/vm.row.ts';
import { UNFINISHED } from './run-rows.ts';

export type StoredHost = Readonly<Omit<HostRow, 'vaults'>>;
export type StoredVm = Readonly<VmRow>;

/** What is known of hosts and their VMs. */
export interface StoredInventory {
  readonly hosts: readonly StoredHost[];
  readonly vms: readonly StoredVm[];
}

/** A host that has not looked at its VMs for so long may be dead. */
export const HOST_LATE_MS = 120_000;
/** Key of the advisory lock of who writes what hosts saw: "hkinvent" in ASCII. */
const LOOK_LOCK = '7524223525606223476';
/** What a look may change of a VM that is known. Tags are people's. */
const SEEN = ['host_id', 'engine', 'name', 'status', 'last_seen_ms', 'gone_at_ms'];

/** Hosts and VMs in the database: the memory of the inventory. */
export class InventoryRows {
  constructor(private readonly source: DataSource) {}

  async list(): Promise<StoredInventory> {
    return listed(this.source.manager);
  }

  async hosts(): Promise<StoredHost[]> {
    return listedHosts(this.source.manager);
  }

  /**
   * Writes what a host saw.
   *
   * @param plan returns the VMs to write, from what is known while nobody else writes
   */
  async note(
    host: StoredHost,
    plan: (known: StoredInventory) => readonly StoredVm[],
  ): Promise<void> {
    await this.source.transaction(async (transaction) => {
      await transaction.query(`SELECT pg_advisory_xact_lock(${LOOK_LOCK})`);
      const rows = plan(await listed(transaction));
      await transaction.getRepository(HostRow).upsert({ ...host }, ['id']);
      if (rows.length > 0) {
        await transaction
          .createQueryBuilder()
          .insert()
          .into(VmRow)
          .values(rows.map((row) => ({ ...row, tags: [...row.tags] })))
          .orUpdate(SEEN, ['id'])
          .execute();
      }
    });
  }

  /**
   * Removes a host with its VMs, and skips its runs that have not ended.
   * @param endJobs ends the jobs that wait there: they would keep others from backing up a VM that
   *   is on another host now
   * @returns false, and removes nothing, if it was seen later than `lastSeenMs`
   */
  async forgetHost(
    { id, lastSeenMs }: Pick<StoredHost, 'id' | 'lastSeenMs'>,
    endJobs: (transaction: EntityManager) => Promise<void>,
  ): Promise<boolean> {
    return this.source.transaction(async (transaction) => {
      await transaction.query(`SELECT pg_advisory_xact_lock(${LOOK_LOCK})`);
      const { affected } = await transaction.getRepository(HostRow).delete({ id, lastSeenMs });
      if (affected !== 1) {
        return false;
      }
      await transaction.getRepository(VmRow).delete({ hostId: id });
      await transaction
        .getRepository(RunRow)
        .update(
          { hostId: id, state: In(UNFINISHED) },
          { state: 'skipped', why: 'the host was forgotten' },
        );
      await endJobs(transaction);
      return true;
    });
  }

  /**
   * Changes the tags of a VM.
   *
   * @param change returns the new tags; if it throws, they stay
   * @returns the new tags; undefined if there is no such VM
   */
  async changeTags(
    id: string,
    change: (tags: readonly string[]) => readonly string[],
  ): Promise<readonly string[] | undefined> {
    return this.source.transaction(async (transaction) => {
      const vms = transaction.getRepository(VmRow);
      const found = await vms.findOne({ where: { id }, lock: { mode: 'pessimistic_write' } });
      if (found === null) {
        return undefined;
      }
      const tags = change(found.tags);
      await vms.update({ id }, { tags: [...tags] });
      return tags;
    });
  }
}

async function listedHosts(manager: EntityManager): Promise<StoredHost[]> {
  return manager.getRepository(HostRow).find({ order: { name: 'ASC', id: 'ASC' } });
}

async function listed(manager: EntityManager): Promise<StoredInventory> {
  return {
    hosts: await listedHosts(manager),
    vms: await manager.getRepository(VmRow).find({ order: { name: 'ASC', id: 'ASC' } }),
  };
}
