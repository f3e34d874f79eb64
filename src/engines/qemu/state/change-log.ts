import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { overlay, type ContentExtent } from '../../../disk/extent.ts';
import { syncFolder, writeDurably } from '../../../kernel/files/durable-file.ts';
import { systemCode } from '../../../kernel/fault.ts';
import { readdir, readFile, rm } from '../../../kernel/files/files.ts';
import { makeFolders } from '../../../kernel/files/folders.ts';
import type { ChangeRecord } from '../../change-history.ts';

/** With more ranges, neighbours are joined: reading a little too much is always right. */
const EXTENTS_MAX = 500_000;
/** With more records, the oldest go; a backup that needs them reads the disk whole. */
const RECORDS_MAX = 1024;
const FILE_NAME = /^(\d{1,15})\.changes$/;

const Head = z.strictObject({
  version: z.literal(1),
  trackingId: z.uuid(),
  generation: z.int().positive(),
  previousSizeBytes: z.int().nonnegative(),
  sizeBytes: z.int().nonnegative(),
  count: z.int().nonnegative().max(EXTENTS_MAX),
  /** Of the head without this field, and the body. */
  sha256: z.string(),
});

type Head = z.infer<typeof Head>;

/**
 * What each freeze of one disk found changed: one durable file per generation. A damaged file
 * counts as missing, which makes the next backup a full read and never a wrong one.
 *
 * A file is one line of JSON, then two varints per extent: the gap since the end of the one before,
 * and twice the length, plus one if it is zero.
 */
export class ChangeLog {
  private readonly folder: string;
  private readonly trackingId: string;

  constructor(folder: string, trackingId: string) {
    this.folder = folder;
    this.trackingId = trackingId;
  }

  /** Writes a record; durable when it returns. */
  async write(record: ChangeRecord): Promise<void> {
    const extents = limited(record.extents, EXTENTS_MAX);
    const body = encodeExtents(extents);
    const facts = {
      version: 1 as const,
      trackingId: this.trackingId,
      generation: record.generation,
      previousSizeBytes: record.previousSizeBytes,
      sizeBytes: record.sizeBytes,
      count: extents.length,
    };
    const head = Head.parse({ ...facts, sha256: hashOf(facts, body) });
    await makeFolders(this.folder);
    const content = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body]);
    await writeDurably(this.pathOf(record.generation), content);
  }

  /** Returns the record, or undefined if there is none that can be trusted. */
  async read(generation: number): Promise<ChangeRecord | undefined> {
    const content = await readFile(this.pathOf(generation)).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') {
        return undefined;
      }
      throw error;
    });
    const end = content?.indexOf(0x0a) ?? -1;
    if (content === undefined || end < 0) {
      return undefined;
    }
    try {
      const head = Head.parse(JSON.parse(content.subarray(0, end).toString('utf8')));
      const body = content.subarray(end + 1);
      const isOurs = head.trackingId === this.trackingId && head.generation === generation;
      const { sha256, ...facts } = head;
      if (!isOurs || sha256 !== hashOf(facts, body)) {
        return undefined;
      }
      const { previousSizeBytes, sizeBytes } = head;
      return { generation, previousSizeBytes, sizeBytes, extents: decodeExtents(body, head.count) };
    } catch {
      // A damaged record counts as missing: the caller falls back to a full read.
      return undefined;
    }
  }

  /**
   * Removes records that nobody needs: up to and including `neededGeneration`, and beyond the
   * bound.
   */
  async prune(neededGeneration: number): Promise<void> {
    const generations = await this.generations();
    const bound = generations.at(-RECORDS_MAX) ?? 0;
    for (const generation of generations) {
      if (generation <= neededGeneration || generation < bound) {
        await rm(this.pathOf(generation), { force: true });
      }
    }
  }

  /** Forgets everything: a new history begins. */
  async clear(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    await makeFolders(this.folder);
    await syncFolder(this.folder);
  }

  /** Ascending. */
  async generations(): Promise<number[]> {
    const names = await readdir(this.folder).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') {
        return [];
      }
      throw error;
    });
    return names
      .map((name) => Number(FILE_NAME.exec(name)?.[1] ?? Number.NaN))
      .filter((generation) => !Number.isNaN(generation))
      .sort((a, b) => a - b);
  }

  private pathOf(generation: number): string {
    return join(this.folder, `${generation}.changes`);
  }
}

/**
 * Returns at most `countMax` extents that cover at least the same ranges: treats the smallest gaps,
 * and zeroes next to them, as changed.
 */
export function limited(extents: readonly ContentExtent[], countMax: number): ContentExtent[] {
  let result = [...extents];
  for (let granule = 64 * 1024; result.length > countMax; granule *= 4) {
    result = coarser(result, granule);
  }
  return result;
}

function coarser(extents: readonly ContentExtent[], granule: number): ContentExtent[] {
  const result: { offset: number; length: number; content: 'data' | 'zero' }[] = [];
  for (const extent of extents) {
    const last = result.at(-1);
    const gap = last === undefined ? Infinity : extent.offset - last.offset - last.length;
    const isSmall = (last?.length ?? Infinity) < granule || extent.length < granule;
    if (last !== undefined && gap < granule && isSmall) {
      last.length = extent.offset + extent.length - last.offset;
      last.content = 'data';
    } else {
      result.push({ ...extent });
    }
  }
  return overlay(result, []);
}

function encodeExtents(extents: readonly ContentExtent[]): Buffer {
  const bytes: number[] = [];
  let end = 0;
  for (const { offset, length, content } of extents) {
    pushVarint(bytes, offset - end);
    pushVarint(bytes, length * 2 + (content === 'zero' ? 1 : 0));
    end = offset + length;
  }
  return Buffer.from(bytes);
}

function decodeExtents(body: Buffer, count: number): ContentExtent[] {
  const extents: ContentExtent[] = [];
  let at = 0;
  let end = 0;
  const next = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = body[at];
      if (byte === undefined) {
        throw new RangeError('cut short');
      }
      at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        return value;
      }
    }
  };
  for (let index = 0; index < count; index += 1) {
    const offset = end + next();
    const coded = next();
    const length = Math.floor(coded / 2);
    extents.push({ offset, length, content: coded % 2 === 1 ? 'zero' : 'data' });
    end = offset + length;
  }
  return extents;
}

/** LEB128 for safe integers. */
function pushVarint(target: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    target.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  target.push(rest);
}

function hashOf(facts: Omit<Head, 'sha256'>, body: Uint8Array): string {
  const { trackingId, generation, previousSizeBytes, sizeBytes, count } = facts;
  const head = [trackingId, generation, previousSizeBytes, sizeBytes, count].join(' ');
  return createHash('sha256').update(head).update(body).digest('hex');
}
