import { IsNull, type DataSource } from 'typeorm';
import { SuspicionRow } from '../rows/suspicion.row.ts';

export type StoredSuspicion = Readonly<SuspicionRow>;

type Of = Pick<StoredSuspicion, 'vaultId' | 'vmId'>;
type Key = Pick<StoredSuspicion, 'vaultId' | 'vmId' | 'pointId'>;

/** What looked encrypted, open and answered. */
export class SuspicionRows {
  constructor(private readonly source: DataSource) {}

  /** Lists the newest first. */
  async list(): Promise<StoredSuspicion[]> {
    return this.source.getRepository(SuspicionRow).find({ order: { atMs: 'DESC', vmId: 'ASC' } });
  }

  async open(of: Partial<Of>): Promise<StoredSuspicion[]> {
    const where = { ...of, clearedAtMs: IsNull() };
    return this.source.getRepository(SuspicionRow).find({ where, order: { atMs: 'ASC' } });
  }

  /** Returns up to which point a person has answered last. */
  async answeredId(of: Of): Promise<string | undefined> {
    const rows = await this.source.getRepository(SuspicionRow).findBy(of);
    const ids = rows.flatMap(({ answeredId }) => answeredId ?? []);
    return ids.toSorted().at(-1);
  }

  /** Adds a suspicion, unless one of the VM in this vault is open. */
  async add(row: StoredSuspicion): Promise<void> {
    const insert = this.source.createQueryBuilder().insert().into(SuspicionRow).values(row);
    await insert.orIgnore().execute();
  }

  async change({ vaultId, vmId, pointId }: Key, change: Partial<StoredSuspicion>): Promise<void> {
    const key = { vaultId, vmId, pointId };
    await this.source.getRepository(SuspicionRow).update(key, change);
  }
}
