import { findNamed, onlyStarting } from './by-prefix.ts';

const web = { id: '0b0f3a80-7b5a-4c53', name: 'web' };
const db = { id: '0b0f3a81-0000-4c53', name: 'db01' };
const things = [web, db, { id: 'db01aa00-0000-4c53', name: 'other' }];

describe('what is found by the beginning of an id', () => {
  it('is the only one that begins so', () => {
    expect(onlyStarting(things, '0b0f3a80')).toBe(web);
    expect(onlyStarting(things, '0B0F3A81')).toBe(db);
    expect(onlyStarting(things, 'ffff')).toBeUndefined();
    expect(onlyStarting(things, '0b0')).toBeUndefined();
  });

  it('is asked about when there are several', () => {
    expect(() => onlyStarting(things, '0b0f')).toThrow('2 ids begin with 0b0f');
  });

  it('is never what has another name, and not what a short name happens to begin', () => {
    expect(findNamed(things, 'db01')).toBe(db);
    expect(findNamed([web, { ...db, name: 'x', id: 'db01aa00' }], 'db01')).toBeUndefined();
    expect(findNamed(things, 'db01aa')).toMatchObject({ name: 'other' });
    expect(findNamed(things, web.id)).toBe(web);
  });
});
