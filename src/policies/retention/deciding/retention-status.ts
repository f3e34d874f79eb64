import { z } from 'zod';
import type { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import type { RetentionRows } from '../../../catalog/retention-rows.ts';

const Report = z.union([
  z.object({ fault: z.object({ code: z.string(), message: z.string() }) }),
  z.object({
    due: z.int(),
    retired: z.int(),
    notHere: z.string().optional(),
    waiting: z.array(z.object({ policy: z.string(), revision: z.int(), points: z.int() })),
  }),
]);

/** What waits since the last decision about the points of a vault. */
export interface VaultRetention {
  readonly vault: string;
  readonly atMs: number;
  readonly due: number;
  readonly notHere?: string | undefined;
  readonly waiting: {
    readonly policy: string;
    readonly revision: number;
    readonly points: number;
  }[];
  readonly problem?: string;
}

/** Says what waits to be given up, and why nothing was decided. */
export class RetentionStatus {
  constructor(
    private readonly rows: Pick<RetentionRows, 'looks'>,
    private readonly vaults: Pick<RegisteredVaults, 'list'>,
  ) {}

  async list(): Promise<VaultRetention[]> {
    const looks = new Map((await this.rows.looks()).map((look) => [look.vaultId, look]));
    return (await this.vaults.list()).flatMap(({ id, name: vault }): VaultRetention[] => {
      const { atMs = 0, report } = looks.get(id) ?? {};
      const { data } = Report.safeParse(report);
      if (data === undefined) {
        return [];
      }
      if ('fault' in data) {
        return [{ vault, atMs, due: 0, waiting: [], problem: data.fault.message }];
      }
      const { due, retired, notHere, waiting } = data;
      const left = due - retired;
      return [{ vault, atMs, due: left, waiting, ...(left > 0 ? { notHere } : {}) }];
    });
  }
}
