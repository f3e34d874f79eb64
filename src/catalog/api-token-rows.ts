import type { DataSource } from 'typeorm';
import { Fault } from '../kernel/fault.ts';
import { ApiTokenRow } from './rows/api-token.row.ts';
import { isUniqueViolation } from './vault-registrations.ts';

export type StoredToken = Readonly<ApiTokenRow>;

/** The named tokens, as rows. */
export class ApiTokenRows {
  constructor(private readonly source: DataSource) {}

  /** @throws Fault `token.name-taken` */
  async add(token: StoredToken): Promise<void> {
    try {
      await this.source.getRepository(ApiTokenRow).insert(token);
    } catch (error) {
      if (!isUniqueViolation(error)) {
        throw error;
      }
      throw new Fault(
        'token.name-taken',
        `There is a token ${token.name}; revoke it first, or choose another name.`,
        { name: token.name },
        { cause: error },
      );
    }
  }

  /** Lists the tokens by name. */
  async list(): Promise<StoredToken[]> {
    return this.source.getRepository(ApiTokenRow).find({ order: { name: 'ASC' } });
  }

  async withDigest(digest: string): Promise<StoredToken | undefined> {
    return (await this.source.getRepository(ApiTokenRow).findOneBy({ digest })) ?? undefined;
  }

  async markUsed(id: string, usedAtMs: number): Promise<void> {
    await this.source.getRepository(ApiTokenRow).update({ id }, { usedAtMs });
  }

  async remove(id: string): Promise<void> {
    await this.source.getRepository(ApiTokenRow).delete({ id });
  }
}
