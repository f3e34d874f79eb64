import { isFault } from '../../../kernel/fault.ts';
import { requireCurrentRetention } from '../../../vault/control/retention-check.ts';
import { lookAgain, type ListedVault } from '../../../vault/retention/listed-vault.ts';
import type { VaultInside } from '../../../vault/vault-inside.ts';
import type { RetentionReport } from './retention-report.ts';

/** A point that is to be given up. */
interface DuePoint {
  readonly id: string;
  readonly vmId: string;
  /** All points of a group are given up, or none. */
  readonly group: string | undefined;
}

type Done = Pick<RetentionReport, 'retired' | 'passedOver' | 'notHere'>;

/** Gives up what was decided, as far as this service may, after a second look at each point. */
export class RetentionExecution {
  private readonly retired = new Set<string>();
  private readonly passedOver: { readonly pointId: string; readonly why: string }[] = [];

  constructor(
    private readonly inside: VaultInside,
    private readonly listed: ListedVault,
    private readonly blocked: () => Promise<ReadonlyMap<string, string>>,
  ) {}

  async run(due: readonly DuePoint[], signal: AbortSignal): Promise<Done> {
    if (due.length === 0) {
      return this.done();
    }
    if (!this.inside.base.keys.retention.canSign) {
      return this.done('the retention key of the vault is not kept here');
    }
    const sets = Map.groupBy(due, ({ id, group }) => group ?? id);
    for (const points of sets.values()) {
      try {
        await this.retire(points, signal);
      } catch (error) {
        if (!isFault(error, 'store.denied')) {
          throw error;
        }
        return this.done("the credentials of the role collector do not reach 'retire/'");
      }
    }
    await requireCurrentRetention(this.inside.base, signal);
    return this.done();
  }

  private async retire(points: readonly DuePoint[], signal: AbortSignal): Promise<void> {
    const why = blockOf(points, await this.blocked());
    const { listed, retired } = this;
    const { against } =
      why === undefined
        ? await lookAgain(this.inside, points, { listed, retired }, signal)
        : { against: why };
    for (const { id, vmId } of points) {
      if (against === undefined) {
        await this.inside.points.retire({ id, vmId }, this.inside.clock.nowMs(), signal);
        this.retired.add(id);
      } else {
        this.passedOver.push({ pointId: id, why: against });
      }
    }
  }

  private done(notHere?: string): Done {
    const { retired, passedOver } = this;
    return { retired: [...retired], passedOver, ...(notHere === undefined ? {} : { notHere }) };
  }
}

function blockOf(
  points: readonly DuePoint[],
  blocked: ReadonlyMap<string, string>,
): string | undefined {
  return points.map(({ vmId }) => blocked.get(vmId)).find((why) => why !== undefined);
}
