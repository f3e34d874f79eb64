import { encodeRecord, type Decision } from '../../../src/vault/records/record-object.ts';
import { ServiceRecords } from '../../../src/vault/records/service-records.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { mapAtOnce } from '../../../src/kernel/waiting/map-at-once.ts';
import { recordKey } from '../../../src/vault/format/record-names.ts';
import { newUlid } from '../../../src/vault/bytes/ulid.ts';
import { pointKey, retireKey, sealKey } from '../../../src/vault/format/object-names.ts';
import { encodePoint, type PointDocument } from '../../../src/vault/points/point-object.ts';
import { isFault } from '../../../src/kernel/fault.ts';
import { signal } from '../../support/vault/vault-lab.ts';
import { DAY_MS, document, HOST, OTHER, seal, VM, type Attacker } from './attack-lab.ts';

/** What a taken-over writer does, and whether its order may have any effect at all. */
export interface Attack {
  readonly name: string;
  readonly run: (attacker: Attacker) => Promise<void>;
  /** `some`: within the floors. */
  readonly effect: 'none' | 'some';
  /** What it wants a collection to do. */
  readonly asksCollections?: boolean;
}

const GARBAGE = Buffer.from('ransom');
const YEAR_MS = 365 * DAY_MS;

function records({ vault }: Attacker): ServiceRecords {
  return new ServiceRecords(vault.inside.base, new SilentLog());
}

function decisions(points: readonly PointDocument[], over: Partial<Decision> = {}): Decision[] {
  return points.map(({ vmId, id }) => ({
    ...{ vm: vmId, point: id, reason: 'no rule keeps it', policy: 'gold', revision: 1 },
    decidedAtMs: Date.now(),
    ...over,
  }));
}

async function order(
  attacker: Attacker,
  list: Decision[] = decisions(attacker.own),
  atMs = Date.now(),
): Promise<void> {
  await records(attacker).put(HOST, { kind: 'decisions', atMs, decisions: list }, signal);
}

/** Does what the store must refuse. */
async function refused(work: Promise<unknown>): Promise<void> {
  const outcome = await work.then(
    () => 'done',
    (error: unknown) => error,
  );
  if (!isFault(outcome, 'store.denied')) {
    throw new Error('the store lets a writer do that');
  }
}

async function bad(attacker: Attacker, count: number, takenAtMs: number): Promise<PointDocument[]> {
  const made = Array.from({ length: count }, (_, index) =>
    document({ takenAtMs: takenAtMs + index }),
  );
  await mapAtOnce(made, 16, async (whole) => seal(attacker.vault, whole));
  return made;
}

/** Puts another genuine point in the place of one. */
async function replace({ vault, store }: Attacker, like: PointDocument): Promise<void> {
  const { base } = vault.inside;
  const other = { ...like, notes: ['another one'] };
  await store.put(pointKey(like.vmId, like.id), encodePoint(base.keys, other), signal);
  await vault.inside.points.seal(other, encodePoint(base.keys, other), signal);
}

const ordering: readonly Attack[] = [
  { name: 'orders everything', effect: 'some', run: async (a) => order(a) },
  {
    name: 'orders everything, long decided',
    effect: 'some',
    run: async (a) => order(a, decisions(a.own, { decidedAtMs: 0 }), 0),
  },
  {
    name: 'orders everything, decided in a hundred years',
    effect: 'some',
    run: async (a) => {
      const decidedAtMs = Date.now() + 100 * YEAR_MS;
      await order(a, decisions(a.own, { decidedAtMs }), decidedAtMs);
    },
  },
  {
    name: 'orders only what must stay, again and again',
    effect: 'none',
    run: async (a) => {
      for (let round = 0; round < 3; round++) {
        await order(a, decisions(a.stay));
      }
    },
  },
  {
    name: 'orders each point a thousand times',
    effect: 'some',
    run: async (a) => order(a, Array.from({ length: 1000 }, () => decisions(a.own)).flat()),
  },
  {
    name: 'orders points of another service, and those of a person',
    effect: 'none',
    run: async (a) => order(a, decisions([a.byHand, a.ofOther])),
  },
  {
    name: 'orders points under the id of another VM, and such that never were',
    effect: 'none',
    run: async (a) => {
      const under = decisions(a.own, { vm: 'other' });
      await order(a, [...under, ...decisions([document(), document()])]);
    },
  },
];

const forging: readonly Attack[] = [
  {
    name: 'writes decisions in the name of another service',
    effect: 'none',
    run: async (a) => {
      const [point] = decisions([a.ofOther]);
      const body = {
        service: OTHER,
        sequence: 9,
        atMs: Date.now(),
        decisions: point ? [point] : [],
      };
      const key = recordKey(OTHER, 9);
      const object = encodeRecord(a.vault.inside.base.keys, key, { kind: 'decisions', ...body });
      await refused(a.store.put(key, object, signal));
      // Under its own prefix, where it may put, it does not open.
      await a.store.put(key.replace(OTHER, HOST), object, signal);
    },
  },
  {
    name: 'writes huge records and nonsense',
    effect: 'none',
    run: async (a) => {
      for (const bytes of [0, 31, 33, 1000, 6_000_000]) {
        await a.store.put(recordKey(HOST, 5), Buffer.alloc(bytes, 'HKSREC00'), signal);
      }
    },
  },
  {
    name: 'takes the highest sequence there is',
    effect: 'some',
    run: async (a) => {
      const record = { kind: 'decisions', atMs: 1, decisions: decisions(a.own) } as const;
      await records(a).put(HOST, record, signal, 999_999_999_998);
    },
  },
  {
    name: 'floods its prefix with records',
    effect: 'some',
    run: async (a) => {
      const numbers = Array.from({ length: 300 }, (_, number) => number);
      await mapAtOnce(numbers, 16, async (number) =>
        a.store.put(recordKey(HOST, number), GARBAGE, signal),
      );
      await order(a);
    },
  },
  {
    name: 'gives up by itself: a retire object, a request',
    effect: 'none',
    asksCollections: true,
    run: async (a) => {
      for (const { vmId, id } of a.own) {
        await refused(a.store.put(retireKey(vmId, id), GARBAGE, signal));
        await a.vault.inside.points.ask({ vmId, id }, Date.now(), signal);
      }
    },
  },
  {
    name: 'says for ever that everything is being read',
    effect: 'none',
    run: async (a) => {
      const far = Date.now() + 100 * YEAR_MS;
      const points = a.own.map(({ vmId, id }) => ({ vm: vmId, point: id }));
      const lease = { kind: 'reading', atMs: far, untilMs: far + DAY_MS, points } as const;
      await records(a).put(HOST, { ...lease, lease: newUlid(1), reader: 'x' }, signal);
      await order(a);
    },
  },
];

const pushing: readonly Attack[] = [
  {
    name: 'makes many bad points of now, to push good ones out',
    effect: 'some',
    run: async (a) => {
      await bad(a, 40, Date.now());
      await order(a);
    },
  },
  {
    name: 'makes bad points that say they are a year old',
    effect: 'some',
    run: async (a) => {
      await bad(a, 40, Date.now() - YEAR_MS);
      await order(a);
    },
  },
  {
    name: 'makes bad points of the far future',
    effect: 'some',
    run: async (a) => {
      await bad(a, 40, Date.now() + 50 * YEAR_MS);
      await order(a);
    },
  },
  {
    name: 'makes bad points dated between the good ones, and orders the good ones only',
    effect: 'some',
    run: async (a) => {
      for (const { takenAtMs } of a.own) {
        await bad(a, 3, takenAtMs + 1);
      }
      await order(a, decisions(a.own.slice(0, -2)));
    },
  },
];

const spoiling: readonly Attack[] = [
  {
    name: 'puts everything again, so that the store dates it anew',
    effect: 'some',
    run: async (a) => {
      for (const { vmId, id } of a.own) {
        for (const key of [pointKey(vmId, id), sealKey(vmId, id)]) {
          await a.store.put(key, (await a.store.get(key, signal)) ?? GARBAGE, signal);
        }
      }
      await order(a);
    },
  },
  {
    name: 'puts other bytes over the points that stay',
    effect: 'none',
    run: async (a) => {
      for (const { vmId, id } of a.stay) {
        await a.store.put(pointKey(vmId, id), GARBAGE, signal);
      }
      await order(a);
    },
  },
  {
    name: 'puts other bytes over their seals',
    effect: 'none',
    run: async (a) => {
      for (const { vmId, id } of a.stay) {
        await a.store.put(sealKey(vmId, id), GARBAGE, signal);
      }
      await order(a);
    },
  },
  {
    name: 'seals other points in the place of those that stay',
    effect: 'none',
    run: async (a) => {
      for (const like of a.stay) {
        await replace(a, like);
      }
      await order(a);
    },
  },
  {
    name: 'gives the points of a person and of another service an origin of its own',
    effect: 'none',
    run: async (a) => {
      const origin = { kind: 'policy', service: HOST, policy: 'gold' } as const;
      for (const like of [a.byHand, a.ofOther]) {
        await replace(a, { ...like, origin });
      }
      await order(a, decisions([a.byHand, a.ofOther]));
    },
  },
  {
    name: 'removes points, to make them again',
    effect: 'none',
    run: async (a) => {
      for (const like of a.stay) {
        await refused(a.store.remove(pointKey(VM, like.id), signal));
        await refused(a.store.remove(sealKey(VM, like.id), signal));
        await replace(a, like);
      }
      await order(a);
    },
  },
];

/** Each with the credentials and the keys of a writer. */
export const ATTACKS = [...ordering, ...forging, ...pushing, ...spoiling];

/** Shows an order of before, which it has withdrawn. */
export async function replay(attacker: Attacker, list = decisions(attacker.own)): Promise<void> {
  const own = records(attacker);
  for (const { name } of await own.read(signal, HOST)) {
    await own.remove(name, signal);
  }
  await own.put(HOST, { kind: 'decisions', atMs: 1, decisions: list }, signal, 0);
}

export async function withdraw(attacker: Attacker): Promise<void> {
  await order(attacker, []);
  await order(attacker, []);
}
