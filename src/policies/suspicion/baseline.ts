import { formatBytes } from '../../kernel/text/bytes.ts';
import { contentFacts, type ContentFacts, type WeighedPoint } from './content-facts.ts';

/** How many points a baseline needs. */
export const REFERENCE_MIN = 5;
/** More than this says what was usual long ago. */
const REFERENCE_MAX = 100;
/** Points whose deviations are added up: whoever encrypts slowly is seen as well. */
const WINDOW = 5;
/** How many of the newest points of a VM a judgement looks at. */
export const POINTS_NEEDED = REFERENCE_MAX + WINDOW + 1;
/** A point that replaces less says nothing about how its VM's content compresses. */
const SHARE_BYTES_MIN = 64 * 1024;
/** Robust standard deviations from the median that are still usual. */
const DEVIATIONS_SHARE = 3;
const DEVIATIONS_AMOUNT = 6;
/** From the median absolute deviation to a standard deviation. */
const MAD_SCALE = 1.4826;
/** A point with less of what deviates is not where it begins. */
const DEVIATING_SHARE_MIN = 0.1;
const SHARE_SPREAD_MIN = 0.05;
/** If content is usually stored at more than this share, encryption shows in nothing. */
const SHARE_MAX = 0.97;
/** Above this a rise tells nothing, only amounts do: a VM that packs a dump each night. */
const SHARE_TELLING_MAX = 0.75;
/** Share of ordinary content, at the most. */
const SHARE_ORDINARY_MAX = 0.6;
/** How far the share must rise, of the way from what is usual to 1. */
const SHARE_RISE_MIN = 0.5;
/** Share of the VM's content that must be affected. */
const AMOUNT_SHARE_MIN = 0.06;
const AMOUNT_BYTES_MIN = 1024 * 1024;
/** After a long time or on a changed disk more happens at once. */
const WHOLE_FACTOR = 2;
/** With one measure less, more is needed. */
const AMOUNT_ALONE_FACTOR = 1.25;

/** What deviates: one measure, in words and numbers. */
export interface Signal {
  readonly kind: 'replaced' | 'incompressible' | 'new';
  readonly value: number;
  /** The most that is usual for this VM. */
  readonly usual: number;
  readonly text: string;
}

/** Content of a VM looks encrypted. */
export interface Suspicion {
  /** The first point that deviates. */
  readonly sinceId: string;
  /** The point before; undefined if none is left. */
  readonly lastCleanId: string | undefined;
  readonly signals: readonly Signal[];
}

/** What is usual for a VM. */
interface Baseline {
  /** Share at which content that replaces other content is stored, at the most. */
  readonly share: number;
  readonly medianShare: number;
  /** Bytes in a point that look encrypted, on most days. */
  readonly amount: number;
  /** Those beyond that in something rare that happened twice. */
  readonly rare: number;
  /** Median share of new bytes in what is read. */
  readonly newShare: number;
}

/**
 * Judges the newest point of a VM by what is usual for this VM alone. Encryption gives chunks that
 * are new, do not compress, and stand where other content was: all three together are suspicious,
 * each alone is everyday (an import of films, an upgrade, a defragmentation).
 *
 * @param points of the VM in one vault, in the order of their content, the newest last
 * @param answeredId the newest point that a person has judged already: it is usual
 */
export function judge(points: readonly WeighedPoint[], answeredId?: string): Suspicion | undefined {
  const facts = contentFacts(points);
  const newest = facts.at(-1);
  if (newest === undefined || newest.pointId !== points.at(-1)?.id) {
    return undefined;
  }
  const answered = facts.findIndex(({ pointId }) => pointId === answeredId);
  const first = Math.max(facts.length - WINDOW, REFERENCE_MIN, answered + 1);
  const window = facts.slice(first);
  const usual = baselineOf(facts.slice(Math.max(0, first - REFERENCE_MAX), first));
  if (window.length === 0 || usual === undefined || usual.medianShare > SHARE_MAX) {
    return undefined;
  }
  return suspicionOf(points, window, usual);
}

function suspicionOf(
  points: readonly WeighedPoint[],
  window: readonly ContentFacts[],
  usual: Baseline,
): Suspicion | undefined {
  const beyond = window.map((facts) =>
    Math.max(0, lookingEncrypted(facts, usual.share) - usual.amount),
  );
  const sum = beyond.reduce((all, each) => all + each, 0);
  const deviating = window.filter((_, index) => (beyond[index] ?? 0) > sum * DEVIATING_SHARE_MIN);
  const [since, newest] = [deviating[0], window.at(-1)];
  // Judged when it happens; afterwards the point is one of several that did less.
  if (since === undefined || newest === undefined || deviating.at(-1) !== newest) {
    return undefined;
  }
  // One rare thing in these points would be usual.
  const amount = sum - usual.rare;
  const doesShareTell = usual.medianShare <= SHARE_TELLING_MAX;
  const whole = deviating.some(({ isWhole }) => isWhole) ? WHOLE_FACTOR : 1;
  const factor = Math.max(whole, doesShareTell ? 1 : AMOUNT_ALONE_FACTOR);
  const least = Math.max(AMOUNT_BYTES_MIN, newest.content * AMOUNT_SHARE_MIN);
  const share = denseShare(deviating);
  const shareLeast = doesShareTell ? usual.share + (1 - usual.share) * SHARE_RISE_MIN : 0;
  if (amount < least * factor || share < shareLeast) {
    return undefined;
  }
  const at = points.findIndex(({ id }) => id === since.pointId);
  return {
    sinceId: since.pointId,
    lastCleanId: points[at - 1]?.id,
    signals: signalsOf({ amount, share, deviating, newest }, usual),
  };
}

/** Returns undefined while too little is known. */
function baselineOf(reference: readonly ContentFacts[]): Baseline | undefined {
  if (reference.length < REFERENCE_MIN) {
    return undefined;
  }
  const shares = reference
    .filter(({ replacing }) => replacing >= SHARE_BYTES_MIN)
    .map(({ replacing, replacingStored }) => replacingStored / replacing);
  // Without any, what a VM of ordinary content has.
  const medianShare = shares.length === 0 ? 0.5 : median(shares);
  const spread = Math.max(SHARE_SPREAD_MIN, deviation(shares, medianShare) * DEVIATIONS_SHARE);
  const share = Math.min(1, medianShare + spread);
  const amounts = reference.map((facts) => lookingEncrypted(facts, share));
  const middle = median(amounts);
  // What happened twice is usual, however seldom: a dump every night.
  const second = amounts.toSorted((a, b) => b - a)[1] ?? 0;
  const amount = middle + deviation(amounts, middle) * DEVIATIONS_AMOUNT;
  return {
    share,
    medianShare,
    amount,
    rare: Math.max(0, second - amount),
    newShare: median(reference.map(({ read, fresh }) => (read === 0 ? 0 : fresh / read))),
  };
}

/**
 * Returns how many bytes of other content must be among those that replaced something, given how
 * densely all of it is stored: usual content at its share, encrypted content at its full size. What
 * is written elsewhere counts as far as other content went away: a copy, and its original removed.
 */
function lookingEncrypted(facts: ContentFacts, share: number): number {
  const { fresh, stored, replacing, replacingStored, cleared } = facts;
  const elsewhere = unmixed(fresh - replacing, stored - replacingStored, share);
  return unmixed(replacing, replacingStored, share) + Math.min(elsewhere, cleared);
}

function unmixed(bytes: number, stored: number, share: number): number {
  const ordinary = Math.min(share, SHARE_ORDINARY_MAX);
  return Math.min(bytes, Math.max(0, (stored - bytes * ordinary) / (1 - ordinary)));
}

/** Returns the share at which points store what replaces content or stands for what went away. */
function denseShare(points: readonly ContentFacts[]): number {
  let [bytes, stored] = [0, 0];
  for (const { fresh, stored: all, replacing, replacingStored, cleared } of points) {
    const elsewhere = fresh - replacing;
    const moved = elsewhere === 0 ? 0 : Math.min(1, cleared / elsewhere);
    bytes += replacing + elsewhere * moved;
    stored += replacingStored + (all - replacingStored) * moved;
  }
  return bytes === 0 ? 0 : Math.min(1, stored / bytes);
}

function signalsOf(
  found: {
    readonly amount: number;
    readonly share: number;
    readonly deviating: readonly ContentFacts[];
    readonly newest: ContentFacts;
  },
  usual: Baseline,
): Signal[] {
  const { amount, share, deviating, newest } = found;
  const ofContent = percent(amount / Math.max(1, newest.content));
  const inPoints = deviating.length === 1 ? 'one point' : `${String(deviating.length)} points`;
  const newShare = newest.read === 0 ? 0 : newest.fresh / newest.read;
  return [
    {
      kind: 'replaced',
      value: Math.round(amount),
      usual: Math.round(usual.amount + usual.rare),
      text: `${formatBytes(amount)} of its content (${ofContent}) became something that looks encrypted, in ${inPoints}; usual are at most ${formatBytes(usual.amount + usual.rare)} a point`,
    },
    {
      kind: 'incompressible',
      value: share,
      usual: usual.share,
      text: `what replaced content is stored at ${percent(share)} of its size; usual are ${percent(usual.medianShare)}`,
    },
    {
      kind: 'new',
      value: newShare,
      usual: usual.newShare,
      text: `${percent(newShare)} of what was read was new to the vault; usual are ${percent(usual.newShare)}`,
    },
  ];
}

function percent(share: number): string {
  return `${String(Math.round(share * 100))} %`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

function deviation(values: readonly number[], middle: number): number {
  return median(values.map((value) => Math.abs(value - middle))) * MAD_SCALE;
}
