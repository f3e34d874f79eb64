import { CARE_KINDS, UPKEEP_KINDS, type JobKind } from './job.ts';

type LaneName = 'data' | 'restore' | 'upkeep';

/** Jobs that care for vaults and run at once, beside the others. */
const UPKEEP_WIDTH = 2;

const UPKEEP: ReadonlySet<JobKind> = new Set([...UPKEEP_KINDS, ...CARE_KINDS]);

function laneOf(kind: JobKind): LaneName {
  // Somebody waits for a restore, and a backup may take hours.
  return kind === 'restore' ? kind : UPKEEP.has(kind) ? 'upkeep' : 'data';
}

/** Jobs waiting for room, in order; each lane has its own room. */
export class JobLanes<Item extends { readonly job: { readonly kind: JobKind } }> {
  private readonly waiting: Item[] = [];
  private readonly running: Record<LaneName, number> = { data: 0, restore: 0, upkeep: 0 };

  private readonly widths: Readonly<Record<LaneName, number>>;

  /** @param width of each lane but that of upkeep */
  constructor(width: number) {
    this.widths = { data: width, restore: width, upkeep: UPKEEP_WIDTH };
  }

  get length(): number {
    return this.waiting.length;
  }

  add(item: Item): void {
    this.waiting.push(item);
  }

  /** Removes a job. @returns whether it was waiting */
  remove(item: Item): boolean {
    const at = this.waiting.indexOf(item);
    if (at >= 0) {
      this.waiting.splice(at, 1);
    }
    return at >= 0;
  }

  /** Returns the next job for which there is room; it counts as running until `ended`. */
  next(): Item | undefined {
    const at = this.waiting.findIndex(({ job }) => {
      const lane = laneOf(job.kind);
      return this.running[lane] < this.widths[lane];
    });
    const [item] = at < 0 ? [] : this.waiting.splice(at, 1);
    if (item !== undefined) {
      this.running[laneOf(item.job.kind)] += 1;
    }
    return item;
  }

  ended({ job }: Item): void {
    this.running[laneOf(job.kind)] -= 1;
  }
}
