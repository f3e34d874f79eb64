import type { DataSource, EntityManager } from 'typeorm';
import type { DoneBy } from '../retention-rows.ts';
import { CareRevisionRow } from './care-revision.row.ts';

export type StoredCareRevision = Readonly<CareRevisionRow>;
export type CareChangeKind = 'created' | 'changed' | 'removed';

/** What is written about the care of vaults, with every change of it. */
export class CareRevisions {
  constructor(private readonly source: DataSource) {}

  /** Lists what is in force, by the name of the vault. */
  async list(): Promise<StoredCareRevision[]> {
    return inForce(this.source.manager);
  }

  /** Lists what was ever written about a vault of this name, newest first. */
  async history(vault: string): Promise<StoredCareRevision[]> {
    return this.source
      .getRepository(CareRevisionRow)
      .find({ where: { vault }, order: { number: 'DESC' } });
  }
}

/** Changes of it in the transaction that changes policies. */
export class CareChanges {
  constructor(
    private readonly transaction: EntityManager,
    private readonly by: DoneBy,
  ) {}

  async list(): Promise<StoredCareRevision[]> {
    return inForce(this.transaction);
  }

  /** Writes the next revision for a vault. */
  async revise(vault: string, change: CareChangeKind, document: object): Promise<void> {
    const rows = this.transaction.getRepository(CareRevisionRow);
    const number = ((await rows.maximum('number', { vault })) ?? 0) + 1;
    await rows.insert({ vault, number, change, document, ...this.by });
  }
}

async function inForce(manager: EntityManager): Promise<StoredCareRevision[]> {
  const rows = await manager
    .getRepository(CareRevisionRow)
    .createQueryBuilder('revision')
    .distinctOn(['revision.vault'])
    .orderBy('revision.vault')
    .addOrderBy('revision.number', 'DESC')
    .getMany();
  return rows.filter(({ change }) => change !== 'removed');
}
