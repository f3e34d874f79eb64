import { randomUUID } from 'node:crypto';
import type { DataSource, EntityManager } from 'typeorm';
import { CareChanges } from './care/care-revisions.ts';
import { PolicyRevisionRow } from './rows/policy-revision.row.ts';
import { PolicyRow } from './rows/policy.row.ts';

/** A policy in force with what it says. */
export interface StoredPolicy {
  readonly id: string;
  readonly name: string;
  readonly revision: number;
  readonly paused: boolean;
  readonly horizonMs: number;
  readonly document: unknown;
}

export type PolicyChangeKind = 'created' | 'changed' | 'paused' | 'resumed' | 'removed';

/** One change of a policy. */
export interface StoredRevision {
  readonly policyId: string;
  readonly number: number;
  readonly change: PolicyChangeKind;
  readonly document: unknown;
  readonly author: string;
  readonly atMs: number;
}

/** Who changes policies, and when. */
export interface PolicyAuthor {
  readonly author: string;
  readonly atMs: number;
}

/** What a change says, beside that it happened. */
interface Revision {
  readonly change: PolicyChangeKind;
  readonly document: unknown;
  readonly paused?: boolean;
  /** Forgets fire times before the change, as after a pause or with another schedule. */
  readonly anew?: boolean;
}

/** Key of the advisory lock of who changes policies: "hkpolicy" in ASCII. */
const CHANGE_LOCK = '7524231226315072377';

/** Policies and their revisions in the database. */
export class PolicyRows {
  constructor(private readonly source: DataSource) {}

  /** Lists the policies in force by name. */
  async list(): Promise<StoredPolicy[]> {
    return listed(this.source.manager);
  }

  /** Lists the revisions of all policies that ever had this name, newest first. */
  async history(name: string): Promise<StoredRevision[]> {
    const rows = await this.source
      .getRepository(PolicyRevisionRow)
      .createQueryBuilder('revision')
      .where(`"revision"."document" ->> 'name' = :name`, { name })
      .orderBy('revision.at_ms', 'DESC')
      .addOrderBy('revision.number', 'DESC')
      .getMany();
    return rows.map(({ policyId, number, change, document, author, atMs }) => ({
      ...{ policyId, number, document, author, atMs },
      change: change as PolicyChangeKind,
    }));
  }

  /** Runs `work` in one transaction; nobody else changes policies meanwhile. */
  async change<T>(
    by: PolicyAuthor,
    work: (changes: PolicyChanges, stored: readonly StoredPolicy[]) => Promise<T>,
  ): Promise<T> {
    return this.source.transaction(async (transaction) => {
      await transaction.query(`SELECT pg_advisory_xact_lock(${CHANGE_LOCK})`);
      return work(new PolicyChanges(transaction, by), await listed(transaction));
    });
  }
}

/** Changes of policies in one transaction; each writes its revision. */
export class PolicyChanges {
  /** Of what is written about the care of vaults. */
  readonly care: CareChanges;

  constructor(
    private readonly transaction: EntityManager,
    private readonly by: PolicyAuthor,
  ) {
    this.care = new CareChanges(transaction, by);
  }

  /** Makes a policy whose fire times begin now. */
  async create(name: string, document: unknown): Promise<void> {
    const id = randomUUID();
    const row = { id, name, revision: 1, paused: false, horizonMs: this.by.atMs };
    await this.transaction.getRepository(PolicyRow).insert(row);
    await this.note(id, 1, { change: 'created', document });
  }

  async revise(policy: StoredPolicy, revision: Revision): Promise<void> {
    const { change, document, paused = policy.paused, anew = false } = revision;
    const number = policy.revision + 1;
    await this.transaction
      .createQueryBuilder()
      .update(PolicyRow)
      .set({
        revision: number,
        paused,
        ...(anew ? { horizonMs: () => 'GREATEST("horizon_ms", :now)' } : {}),
      })
      .where({ id: policy.id })
      .setParameters({ now: this.by.atMs })
      .execute();
    await this.note(policy.id, number, { change, document });
  }

  async remove({ id, revision, document }: StoredPolicy): Promise<void> {
    await this.transaction.getRepository(PolicyRow).delete({ id });
    await this.note(id, revision + 1, { change: 'removed', document });
  }

  private async note(
    policyId: string,
    number: number,
    { change, document }: Revision,
  ): Promise<void> {
    await this.transaction
      .getRepository(PolicyRevisionRow)
      .insert({ policyId, number, change, document: document as object, ...this.by });
  }
}

async function listed(manager: EntityManager): Promise<StoredPolicy[]> {
  const rows = await manager.query<(Omit<StoredPolicy, 'horizonMs'> & { horizon: string })[]>(
    `SELECT "policy"."id", "policy"."name", "policy"."revision", "policy"."paused",
            "policy"."horizon_ms" AS "horizon", "revision"."document"
       FROM "policy"
       JOIN "policy_revision" AS "revision"
         ON "revision"."policy_id" = "policy"."id" AND "revision"."number" = "policy"."revision"
      ORDER BY "policy"."name" COLLATE "C"`,
  );
  return rows.map(({ horizon, ...policy }) => ({ ...policy, horizonMs: Number(horizon) }));
}
