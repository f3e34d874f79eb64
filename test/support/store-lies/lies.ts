import type { BucketAnswer, BucketRequest, Liar, RequestKind } from './bucket-requests.ts';
import { etagOf } from './bucket-server.ts';

const PAGE = '<html><head><title>Down</title></head><body>for maintenance</body></html>';

/** What a store was asked, what it would say, and what it had a while ago. */
interface Asked {
  readonly request: BucketRequest;
  readonly truth: () => Promise<BucketAnswer>;
  /** By their keys in `vault/` and `copy/`. */
  readonly objects: ReadonlyMap<string, Uint8Array>;
  readonly before: ReadonlyMap<string, Uint8Array>;
  readonly random: (limit: number) => number;
}

type Lie = (asked: Asked) => Promise<BucketAnswer>;

const emptyAnswer: Lie = async () => ({ status: 200 });
const page: Lie = async () => ({
  status: 200,
  headers: { 'content-type': 'text/html' },
  body: PAGE,
});
const missingPage: Lie = async () => ({
  status: 404,
  headers: { 'content-type': 'text/html' },
  body: PAGE,
});

/** Half of the answer, which says that it is whole. */
const cut: Lie = async ({ truth }) => {
  const { status, headers, body = '' } = await truth();
  const whole = Buffer.from(body);
  return { status, ...(headers && { headers }), body: whole.subarray(0, whole.length >> 1) };
};

/** 200 also for what is not there. */
const present: Lie = async ({ truth }) => {
  const answer = await truth();
  if (answer.status !== 404) {
    return answer;
  }
  const body = Buffer.from('an object that nobody has put');
  return { status: 200, headers: { etag: etagOf(body) }, body };
};

/** Of the same kind of object, where there is one. */
const other: Lie = async ({ request: { key, kind }, objects, truth, random }) => {
  const answer = await truth();
  const own = plainKey(key);
  const kin = [...objects.keys()].filter((name) => name !== own && areaOf(name) === areaOf(own));
  const content = objects.get(kin[random(Math.max(1, kin.length))] ?? '');
  if (content === undefined || answer.status >= 300) {
    return answer;
  }
  if (kind === 'get') {
    return { status: 200, headers: { etag: etagOf(content) }, body: content };
  }
  // Of the right length and with the right headers: only what is in it tells.
  const wanted = Buffer.from(answer.body ?? '').length;
  const body = Buffer.alloc(wanted);
  body.set(content.subarray(0, wanted));
  return { ...answer, body };
};

/** Well formed, and some keys are not in it. */
const without: Lie = async ({ truth, random }) => filtered(await truth(), () => random(3) > 0);

const nothing: Lie = async ({ truth }) => filtered(await truth(), () => false);

/** Well formed, and of a while ago. */
const stale: Lie = async ({ truth, before }) =>
  filtered(await truth(), (key) => before.has(plainKey(key)));

const ENTRY = /<(Contents|Version|DeleteMarker)>.*?<\/\1>/gs;

/** A page of a list with some of its entries. */
function filtered(answer: BucketAnswer, isKept: (key: string) => boolean): BucketAnswer {
  const kept = new Map<string, boolean>();
  let count = 0;
  const body = Buffer.from(answer.body ?? '')
    .toString()
    .replaceAll(ENTRY, (entry) => {
      const key = decodeURIComponent(/<Key>(.*?)<\/Key>/s.exec(entry)?.[1] ?? '');
      const stays = kept.get(key) ?? isKept(key);
      kept.set(key, stays);
      count += stays ? 1 : 0;
      return stays ? entry : '';
    })
    .replace(/<KeyCount>\d+</, `<KeyCount>${count}<`);
  return { ...answer, body };
}

const LIES: Readonly<Record<RequestKind, Readonly<Record<string, Lie>>>> = {
  list: { empty: emptyAnswer, page, cut, without, nothing, stale },
  versions: { empty: emptyAnswer, page, cut, without, nothing, stale },
  get: { empty: emptyAnswer, page, cut, present, other, 'missing page': missingPage },
  part: { empty: emptyAnswer, page, cut, present, other, 'missing page': missingPage },
  head: { empty: emptyAnswer, present, 'missing page': missingPage },
  put: { empty: emptyAnswer, page, 'missing page': missingPage },
  remove: { empty: emptyAnswer, page, 'missing page': missingPage },
  lock: { empty: emptyAnswer, page, 'missing page': missingPage },
  'lock-of': { empty: emptyAnswer, page, cut, 'missing page': missingPage },
  settings: { empty: emptyAnswer, page, cut, 'missing page': missingPage },
};

/** A lie about one kind of request, told from the n-th on of those in one part of the vault. */
export interface Plan {
  readonly kind: RequestKind;
  readonly lie: string;
  /** The first part of the keys. */
  readonly area: string;
  readonly from: number;
  /** How often; then the truth again. */
  readonly times: number;
}

/** Without what tells one trial's places from another's. */
function plainKey(key: string): string {
  return key.replace(/^t\d+\//, '');
}

export function areaOf(key: string): string {
  return /^[a-z]+\//.exec(plainKey(key).replace(/^(?:vault|copy)\//, ''))?.[0] ?? '';
}

/** All pairs of a kind of request and a lie about it. */
export function allLies(
  kinds: readonly RequestKind[],
): { readonly kind: RequestKind; readonly lie: string }[] {
  return kinds.flatMap((kind) => Object.keys(LIES[kind]).map((lie) => ({ kind, lie })));
}

/** Tells the lie of a plan, and counts how often it did. */
export function liarOf(
  plan: Plan,
  facts: Pick<Asked, 'objects' | 'before' | 'random'>,
): { readonly liar: Liar; readonly told: () => number } {
  let [met, told] = [0, 0];
  const lie = LIES[plan.kind][plan.lie] ?? emptyAnswer;
  return {
    told: () => told,
    liar: async (request, truth) => {
      if (request.kind !== plan.kind || areaOf(request.key) !== plan.area) {
        return truth();
      }
      const index = met++;
      if (index < plan.from || told >= plan.times) {
        return truth();
      }
      told += 1;
      return lie({ request, truth, ...facts });
    },
  };
}
