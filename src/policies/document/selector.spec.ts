import { selectVms, type SelectableVm, type Selector } from './selector.ts';

const vm = (name: string, tags: string[] = [], more: Partial<SelectableVm> = {}): SelectableVm => ({
  id: name,
  name,
  tags,
  ...more,
});

const VMS = [
  vm('db-1', ['production']),
  vm('db-2', ['scratch']),
  vm('web-db', ['production', 'scratch']),
  vm('mail'),
  vm('db-drill', ['production'], { purpose: 'drill' }),
  vm('db-young', ['production'], { purpose: 'hydrating' }),
];

const names = (selector: Selector): string[] =>
  selectVms({ selector }, VMS).map(({ name }) => name);

describe('selectVms', () => {
  it.each<[string, Selector, string[]]>([
    ['all', { all: true }, ['db-1', 'db-2', 'web-db', 'mail']],
    ['a name', { vms: ['mail'] }, ['mail']],
    ['a name with a star at its end', { vms: ['db-*'] }, ['db-1', 'db-2']],
    ['a star at its beginning', { vms: ['*db'] }, ['web-db']],
    ['a star on both sides', { vms: ['*b-*'] }, ['db-1', 'db-2', 'web-db']],
    ['a tag', { tags: ['production'] }, ['db-1', 'web-db']],
    ['a name or a tag', { vms: ['mail'], tags: ['scratch'] }, ['db-2', 'web-db', 'mail']],
    ['all but names', { all: true, exclude: { vms: ['db*'] } }, ['web-db', 'mail']],
    ['all but tags', { all: true, exclude: { tags: ['scratch'] } }, ['db-1', 'mail']],
    ['nothing that is there', { vms: ['db'] }, []],
  ])('takes %s, and never a twin', (_, selector, expected) => {
    expect(names(selector)).toEqual(expected);
  });

  it.each([
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'acb', false],
    ['*', 'x', true],
    ['**', 'x', true],
    ['ab*bc', 'abc', false],
    ['*ab', 'aab', true],
    ['*.x', '1ax', false],
  ])('compares %s with %s', (pattern, name, expected) => {
    expect(selectVms({ selector: { vms: [pattern] } }, [vm(name)])).toHaveLength(expected ? 1 : 0);
  });

  it('takes no time for a pattern of stars', () => {
    const selector = { vms: [`${'*a'.repeat(30)}b`] };
    expect(selectVms({ selector }, [vm('a'.repeat(63))])).toEqual([]);
  });
});
