import { integrityOrThrow } from '../../kernel/fault.ts';
import type { FooterCache } from '../packs/footer-cache.ts';
import type { FrameFetcher } from '../tasks/frame-fetcher.ts';
import { packPrefix, parsePackKey, type PackName } from '../format/object-names.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import type { SlotReference } from '../packs/open-pack.ts';
import { numbersOf } from './lost-slots.ts';
import { PackCheck, type PackFindings } from './pack-check.ts';

/** A logical pack. */
export type PackId = Pick<PackName, 'kind' | 'ulid'>;

/** Where generations of packs are read from. */
export interface GenerationSource {
  readonly fetcher: FrameFetcher;
  readonly cache?: FooterCache;
}

export interface Generation {
  readonly name: PackName;
  readonly findings: PackFindings;
}

/** Returns all generations in one place, newest first, each checked. */
export async function generations(
  { fetcher }: GenerationSource,
  pack: PackId,
  signal: AbortSignal,
): Promise<Generation[]> {
  const check = new PackCheck(fetcher);
  const found: Generation[] = [];
  for await (const { key } of fetcher.packs.base.store.list(packPrefix(pack), signal)) {
    const name = parsePackKey(key);
    if (name?.ulid === pack.ulid && name.kind === pack.kind) {
      found.push({ name, findings: await check.run(name, signal) });
    }
  }
  return found.sort((a, b) => b.name.generation - a.name.generation);
}

function slotsIn(footer: PackFooter | undefined): number[] {
  const count = footer?.slots ?? 0;
  return Array.from({ length: count }, (_, slot) => slot).filter(
    (slot) => footer?.size(slot) !== 0,
  );
}

export function readableSlots(all: readonly Pick<Generation, 'findings'>[]): Set<number> {
  const readable = new Set<number>();
  for (const { findings } of all) {
    const damaged = findings.damaged === 'all' ? undefined : numbersOf(findings.damaged);
    for (const slot of damaged === undefined ? [] : slotsIn(findings.footer)) {
      if (damaged?.has(slot) === false) {
        readable.add(slot);
      }
    }
  }
  return readable;
}

export function wantedSlots(all: readonly Generation[]): Set<number> {
  return new Set(all.flatMap(({ findings }) => slotsIn(findings.footer)));
}

export function isSubset(some: ReadonlySet<number>, all: ReadonlySet<number>): boolean {
  return [...some].every((slot) => all.has(slot));
}

/**
 * Of slots that no generation has, returns those that are not whole under any other name either.
 */
export async function lostEverywhere(
  fetcher: FrameFetcher,
  { ulid }: PackId,
  slots: readonly number[],
  signal: AbortSignal,
): Promise<number[]> {
  const { aliases, base } = fetcher.packs;
  await aliases.read(signal);
  const pack = aliases.touches(ulid) ? base.numbers.find(ulid) : undefined;
  const lost: number[] = [];
  for (const slot of slots) {
    if (pack === undefined || !(await isReadable(fetcher, { pack, slot }, signal))) {
      lost.push(slot);
    }
  }
  return lost;
}

async function isReadable(
  fetcher: FrameFetcher,
  slot: SlotReference,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await fetcher.packs.withSlot(slot, signal, async (placed) => fetcher.slot(placed, signal));
    return true;
  } catch (error) {
    integrityOrThrow(error);
    return false;
  }
}
