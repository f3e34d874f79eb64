import { randomBytes } from 'node:crypto';
import { ulidBytes, ulidText } from './ulid.ts';
import { hashOfUlid, UlidTable } from './ulid-table.ts';

describe('UlidTable', () => {
  it('numbers ULIDs as they come, knows them again and which is older', () => {
    const table = new UlidTable();
    const ulids = Array.from({ length: 3000 }, () => {
      const bytes = randomBytes(16);
      bytes[0] = 0;
      return ulidText(bytes);
    });
    for (const [number, ulid] of ulids.entries()) {
      expect(table.find(ulid)).toBeUndefined();
      expect(table.of(ulid)).toBe(number);
    }
    const isKnown = (ulid: string, number: number): boolean =>
      table.of(ulid) === number &&
      table.find(ulid) === number &&
      table.findBytes(ulidBytes(ulid)) === number &&
      table.ulid(number) === ulid &&
      table.hash(number) === hashOfUlid(ulid);
    expect(ulids.filter((ulid, number) => !isKnown(ulid, number))).toEqual([]);
    const sorted = ulids.map((_, number) => number).sort((a, b) => table.compare(a, b));
    expect(sorted.map((number) => table.ulid(number))).toEqual(ulids.toSorted());
    expect(table.compare(7, 7)).toBe(0);
    expect(table.count).toBe(ulids.length);
    expect(table.find('no ULID')).toBeUndefined();
  });
});
