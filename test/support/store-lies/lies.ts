import {
  etagOf,
  listAnswer,
  type BucketAnswer,
  type BucketRequest,
  type BucketServer,
  type Liar,
  type RequestKind,
} from './bucket-server.ts';

const PAGE = '<html><head><title>Down</title></head><body>for maintenance</body></html>';

/** What a store was asked, what it would say, and what it had a while ago. */
interface Asked {
  readonly request: BucketRequest;
  readonly truth: () => BucketAnswer;
  readonly objects: ReadonlyMap<string, Uint8Array>;
  readonly before: ReadonlyMap<string, Uint8Array>;
  readonly random: (limit: number) => number;
}

type Lie = (asked: Asked) => BucketAnswer;

const emptyAnswer: Lie = () => ({ status: 200 });
const page: Lie = () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: PAGE });
const missingPage: Lie = () => ({
  status: 404,
  headers: { 'content-type': 'text/html' },
  body: PAGE,
});

/** Half of the answer, which says that it is whole. */
const cut: Lie = ({ truth }) => {
  const { status, headers, body = '' } = truth();
  const whole = Buffer.from(body);
  return { status, ...(headers && { headers }), body: whole.subarray(0, whole.length >> 1) };
};

/** 200 also for what is not there. */
const present: Lie = ({ truth }) => {
  const answer = truth();
  if (answer.status !== 404) {
    return answer;
  }
  const body = Buffer.from('an object that nobody has put');
  return { status: 200, headers: { etag: etagOf(body) }, body };
};

/** Of the same kind of object, where there is one. */
const other: Lie = ({ request: { key, kind }, objects, truth, random }) => {
  const answer = truth();
  const kin = [...objects.keys()].filter((name) => name !== key && areaOf(name) === areaOf(key));
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
const without: Lie = ({ request: { key }, objects, random }) => {
  const left = [...objects].filter(() => random(3) > 0);
  return listAnswer(new Map(left), key);
};

const nothing: Lie = ({ request: { key } }) => listAnswer(new Map(), key);

/** Well formed, and of a while ago. */
const stale: Lie = ({ request: { key }, before }) => listAnswer(before, key);

const LIES: Readonly<Record<RequestKind, Readonly<Record<string, Lie>>>> = {
  list: { empty: emptyAnswer, page, cut, without, nothing, stale },
  get: { empty: emptyAnswer, page, cut, present, other, 'missing page': missingPage },
  part: { empty: emptyAnswer, page, cut, present, other, 'missing page': missingPage },
  head: { empty: emptyAnswer, present, 'missing page': missingPage },
  put: { empty: emptyAnswer, page, 'missing page': missingPage },
  remove: { empty: emptyAnswer, page, 'missing page': missingPage },
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

export function areaOf(key: string): string {
  return /^[a-z]+\//.exec(key.replace(/^(?:vault|copy)\//, ''))?.[0] ?? '';
}

/** All pairs of a kind of request and a lie about it. */
export function allLies(): { readonly kind: RequestKind; readonly lie: string }[] {
  return Object.entries(LIES).flatMap(([kind, lies]) =>
    Object.keys(lies).map((lie) => ({ kind: kind as RequestKind, lie })),
  );
}

/** Tells the lie of a plan, and counts how often it did. */
export function liarOf(
  plan: Plan,
  server: BucketServer,
  facts: Pick<Asked, 'before' | 'random'>,
): { readonly liar: Liar; readonly told: () => number } {
  let [met, told] = [0, 0];
  const lie = LIES[plan.kind][plan.lie] ?? emptyAnswer;
  return {
    told: () => told,
    liar: (request, truth) => {
      if (request.kind !== plan.kind || areaOf(request.key) !== plan.area) {
        return truth();
      }
      const index = met++;
      if (index < plan.from || told >= plan.times) {
        return truth();
      }
      told += 1;
      return lie({ request, truth, objects: server.objects, ...facts });
    },
  };
}
