/**
 * What a collector on a machine of its own keeps, whatever it is asked to give up: its floors. A
 * pure function of what it saw itself; docs/decisions/0110 says why it counts as it does.
 */
export interface Floors {
  /** Of each VM: so many days' first points are kept, and never fewer points than this. */
  readonly points: number;
  /** What the collector has known for less than this is kept, and keeps nothing else company. */
  readonly youngMs: number;
  /** Between 0 and 1: at most this share of a VM's points is given up in 24 hours. */
  readonly dailyShare: number;
}

/** A point as the collector knows it from its own record. */
export interface SeenPoint {
  readonly vmId: string;
  readonly id: string;
  /** Since when it was there at the latest: by the store's clock or by the collector's looks. */
  readonly sinceMs: number;
  readonly isStanding: boolean;
  /** When the collector, or anybody else, gave it up. */
  readonly givenUpAtMs?: number | undefined;
  /** It is not what it was at first sight, or it is gone without being given up. */
  readonly isInDoubt: boolean;
}

export interface PointToGiveUp {
  readonly vmId: string;
  readonly id: string;
}

/**
 * Why an order is not carried out: no such point; its VM has points in doubt; it is young; it is
 * one of those that stay; enough of this VM was given up today.
 */
export type KeptBecause = 'unknown' | 'in-doubt' | 'young' | 'floor' | 'daily-share';

export interface Judgement<Order> {
  readonly giveUp: readonly Order[];
  readonly kept: readonly { readonly order: Order; readonly because: KeptBecause }[];
}

const DAY_MS = 86_400_000;

/** Decides about orders to give points up. */
export function judge<Order extends PointToGiveUp>(
  seen: readonly SeenPoint[],
  orders: readonly Order[],
  floors: Floors,
  nowMs: number,
): Judgement<Order> {
  const giveUp: Order[] = [];
  const kept: { order: Order; because: KeptBecause }[] = [];
  const points = Map.groupBy(seen, ({ vmId }) => vmId);
  const once = new Map(orders.map((order) => [`${order.vmId}/${order.id}`, order]));
  for (const [vmId, ofVm] of Map.groupBy(once.values(), (order) => order.vmId)) {
    const vm = new VmFloor(points.get(vmId) ?? [], floors, nowMs);
    for (const order of ofVm.sort((a, b) => vm.sinceMs(a) - vm.sinceMs(b))) {
      const because = vm.keeps(order);
      if (because === undefined) {
        giveUp.push(order);
      } else {
        kept.push({ order, because });
      }
    }
  }
  return { giveUp, kept };
}

class VmFloor {
  readonly #standing: ReadonlyMap<string, SeenPoint>;
  readonly #inDoubt: boolean;
  readonly #agedFromMs: number;
  readonly #stay: ReadonlySet<string>;
  /** How many more may go now. */
  #left: number;

  constructor(seen: readonly SeenPoint[], floors: Floors, nowMs: number) {
    const standing = seen.filter(({ isStanding }) => isStanding);
    this.#standing = new Map(standing.map((point) => [point.id, point]));
    this.#inDoubt = seen.some(({ isInDoubt }) => isInDoubt);
    this.#agedFromMs = nowMs - floors.youngMs;
    const aged = standing.filter((point) => this.#isAged(point));
    this.#stay = staying(aged, floors.points);
    const today = seen.filter(({ givenUpAtMs }) => (givenUpAtMs ?? 0) > nowMs - DAY_MS);
    const gone = today.filter(({ isStanding }) => !isStanding).length;
    // Young points do not count: whoever makes many must not be able to order more.
    this.#left = Math.floor(floors.dailyShare * (aged.length + gone)) - today.length;
  }

  #isAged({ sinceMs }: SeenPoint): boolean {
    return sinceMs <= this.#agedFromMs;
  }

  sinceMs({ id }: PointToGiveUp): number {
    return this.#standing.get(id)?.sinceMs ?? 0;
  }

  /** Answers for one order after another; what it lets go counts for the next. */
  keeps({ id }: PointToGiveUp): KeptBecause | undefined {
    const point = this.#standing.get(id);
    if (point === undefined) {
      return 'unknown';
    }
    if (this.#inDoubt) {
      return 'in-doubt';
    }
    if (!this.#isAged(point)) {
      return 'young';
    }
    if (this.#stay.has(id)) {
      return 'floor';
    }
    if (this.#left < 1) {
      return 'daily-share';
    }
    this.#left -= 1;
    return undefined;
  }
}

/**
 * The first point of each of the newest days that have any; if these are too few, the newest others
 * too. Of a day the first: what somebody adds later that day replaces nothing, however much it is.
 */
function staying(aged: readonly SeenPoint[], count: number): Set<string> {
  const oldestFirst = aged.toSorted((a, b) => a.sinceMs - b.sinceMs || (a.id < b.id ? -1 : 1));
  const days = Map.groupBy(oldestFirst, ({ sinceMs }) => Math.floor(sinceMs / DAY_MS));
  const firsts = [...days.values()].flatMap(([first]) => (first === undefined ? [] : [first.id]));
  const stay = new Set(firsts.slice(-count));
  for (const { id } of oldestFirst.toReversed()) {
    if (stay.size >= count) {
      break;
    }
    stay.add(id);
  }
  return stay;
}
