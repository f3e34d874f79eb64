import type { Schedule } from '../document/schedule.ts';
import { nextFireTime } from './fire-times.ts';

/** No fire time lies between these two, except the later one. */
interface Gap {
  fromMs: number;
  readonly nextMs: number | undefined;
}

/**
 * The fire times of one schedule for many instants that lie close together, such as those of the
 * newest points of many VMs: each distance between two fire times is computed once.
 */
export class RememberedFireTimes {
  private readonly gaps = new Map<number | undefined, Gap>();
  private last: Gap | undefined;

  constructor(private readonly schedule: Schedule) {}

  /** As `nextFireTime`. */
  next(afterMs: number): number | undefined {
    if (this.last !== undefined && isIn(this.last, afterMs)) {
      return this.last.nextMs;
    }
    for (const gap of this.gaps.values()) {
      if (isIn(gap, afterMs)) {
        this.last = gap;
        return gap.nextMs;
      }
    }
    const nextMs = nextFireTime(this.schedule, afterMs);
    const gap = this.gaps.get(nextMs) ?? { fromMs: afterMs, nextMs };
    gap.fromMs = Math.min(gap.fromMs, afterMs);
    this.gaps.set(nextMs, gap);
    this.last = gap;
    return nextMs;
  }
}

function isIn({ fromMs, nextMs = Infinity }: Gap, atMs: number): boolean {
  return atMs >= fromMs && atMs < nextMs;
}
