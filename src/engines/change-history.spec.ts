import type { ContentExtent } from '../disk/extent.ts';
import { changesSince, type ChangeRecord } from './change-history.ts';

const now = { id: 'line', generation: 4 };
const data = (offset: number, length: number): ContentExtent => ({
  offset,
  length,
  content: 'data',
});
const zero = (offset: number, length: number): ContentExtent => ({
  offset,
  length,
  content: 'zero',
});

function history(...records: Partial<ChangeRecord>[]) {
  const kept = new Map<number, ChangeRecord>();
  for (const [index, record] of records.entries()) {
    const generation = record.generation ?? index + 2;
    kept.set(generation, {
      generation,
      previousSizeBytes: 100,
      sizeBytes: 100,
      extents: [],
      ...record,
    });
  }
  return async (generation: number) => kept.get(generation);
}

describe('changesSince', () => {
  it('lays the records after the state over each other, newest on top', async () => {
    const recordOf = history(
      { extents: [data(0, 50)] },
      { extents: [zero(10, 30)] },
      { extents: [data(20, 5)] },
    );

    expect(await changesSince({ id: 'line', generation: 1 }, now, recordOf)).toEqual({
      method: 'changed-extents',
      extents: [data(0, 10), zero(10, 10), data(20, 5), zero(25, 15), data(40, 10)],
    });
    expect(await changesSince({ id: 'line', generation: 3 }, now, recordOf)).toEqual({
      method: 'changed-extents',
      extents: [data(20, 5)],
    });
    expect(await changesSince(now, now, recordOf)).toEqual({
      method: 'changed-extents',
      extents: [],
    });
  });

  it.each([
    ['nothing is known yet', undefined, 'first-backup'],
    ['the line of history is another', { id: 'other', generation: 2 }, 'tracking-replaced'],
    ['the state is newer than the disk', { id: 'line', generation: 5 }, 'tracking-replaced'],
    ['a record is missing', { id: 'line', generation: 1 }, 'change-log-gap'],
  ] as const)('asks for a full read when %s', async (_, since, reason) => {
    const recordOf = history({}, {}, {});
    const gapped = async (generation: number) =>
      generation === 3 ? undefined : recordOf(generation);

    expect(await changesSince(since, now, gapped)).toEqual({ method: 'full', reason });
  });

  it('knows what a disk gained as zeroes and forgets what it lost', async () => {
    const grown = history(
      { extents: [data(90, 10)] },
      { sizeBytes: 150, extents: [data(120, 5)] },
      { previousSizeBytes: 150, sizeBytes: 150 },
    );
    const shrunk = history(
      { extents: [data(90, 10)] },
      { sizeBytes: 95 },
      { previousSizeBytes: 95, sizeBytes: 99 },
    );

    expect(await changesSince({ id: 'line', generation: 1 }, now, grown)).toEqual({
      method: 'changed-extents',
      extents: [data(90, 10), zero(100, 20), data(120, 5), zero(125, 25)],
    });
    expect(await changesSince({ id: 'line', generation: 1 }, now, shrunk)).toEqual({
      method: 'changed-extents',
      extents: [data(90, 5), zero(95, 4)],
    });
  });
});
