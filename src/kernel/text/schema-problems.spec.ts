import { schemaProblems } from './schema-problems.ts';

describe('schemaProblems', () => {
  it('names the first three by their path, and the whole where there is none', () => {
    const issues = [
      { path: ['disks', 0, 'path'], message: 'an absolute path' },
      { path: [], message: 'no such key' },
      { path: ['name'], message: 'too long' },
      { path: ['notes'], message: 'left out' },
    ];

    expect(schemaProblems({ issues }, 'definition')).toBe(
      'disks.0.path: an absolute path; definition: no such key; name: too long',
    );
    expect(schemaProblems({ issues }, 'definition', 1)).toBe('disks.0.path: an absolute path');
  });
});
