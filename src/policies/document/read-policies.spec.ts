import { readFileSync } from 'node:fs';
import { isFault } from '../../kernel/fault.ts';
import { PolicyDocument } from './policy-document.ts';
import { POLICY_TEXT_MAX, readPolicies } from './read-policies.ts';
import { writePolicies } from './write-policies.ts';

const ONE = `name: servers
selector: { tags: [production] }
vault: main
schedule: { every: 1h }
`;

/** The message of the fault that a text is refused with. */
function refusal(text: string): string {
  try {
    readPolicies(text, 'p.yaml');
  } catch (error) {
    if (isFault(error, 'policy.invalid')) {
      return error.message;
    }
    throw error;
  }
  throw new Error('the text was not refused');
}

const changed = (from: string, to: string): string => {
  expect(ONE).toContain(from);
  return ONE.replace(from, to);
};

describe('readPolicies', () => {
  it('reads one policy per document, or a list', () => {
    const other = ONE.replace('servers', 'desktops');
    const list = `policies:\n  - ${ONE.trim().replaceAll('\n', '\n    ')}\n`;
    const names = (text: string) =>
      readPolicies(text, 'p').policies.map(({ document }) => document.name);

    expect(names(`---\n${ONE}---\n${other}`)).toEqual(['servers', 'desktops']);
    expect(names(`${list}---\n${other}`)).toEqual(['servers', 'desktops']);
    expect(names('policies: []')).toEqual([]);
    expect(names('# nothing\n')).toEqual([]);
  });

  it('fills in what was left out', () => {
    const [read] = readPolicies(ONE, 'p.yaml').policies;

    expect(read?.document).toMatchObject({
      consistency: 'filesystem',
      priority: 'normal',
      schedule: { every: '1h', zone: 'UTC', catchUp: 'once' },
    });
    expect(read?.placeOf('vault')).toBe('p.yaml:3:8');
    expect(read?.placeOf('limits', 'atOnce')).toBe('p.yaml:1:1');
  });

  it('reads what it wrote as the same', () => {
    const rich = `${ONE}rpo: 4h
consistency: crash
limits: { atOnce: 3, rate: 50MiB/s, rates: [{ from: '08:00', to: '18:00', rate: 1MiB/s }] }
guestCommands:
  before: [["/bin/sh", "-c", "echo '*: #' \\"x\\""]]
retention: { daily: 7, minimumAge: 1d }
verification: { every: 1w }
copies: [{ vault: offsite, within: 1d }]
`;
    const documents = [ONE, rich.replace('servers', 'on')]
      .flatMap((text) => readPolicies(text, 'p').policies)
      .map(({ document }) => document);

    expect(
      readPolicies(writePolicies(documents), 'p').policies.map(({ document }) => document),
    ).toEqual(documents);
    expect(documents).toHaveLength(2);
  });

  it.each([
    [
      'an unknown field',
      'vault: main',
      'vautl: main',
      'p.yaml:3:1: there is no field vautl; there are name, selector, vault,',
    ],
    [
      'an unknown field inside',
      '{ tags:',
      '{ tag: x, tags:',
      'p.yaml:2:13: there is no field selector.tag; there are vms, tags, all, exclude',
    ],
    ['a missing field', 'vault: main\n', '', 'p.yaml:1:1: vault: is missing'],
    ['a wrong value', 'every: 1h', 'every: often', 'p.yaml:4:20: schedule.every: a duration'],
    ['no VMs', '{ tags: [production] }', '{}', 'p.yaml:2:11: selector: says of no VM'],
    ['all and some', '{ tags:', '{ all: true, tags:', 'p.yaml:2:11: selector: says all and'],
    [
      'a shell line',
      'vault:',
      'guestCommands: { before: [sync] }\nvault:',
      'p.yaml:3:27: guestCommands.before.0: a list of words',
    ],
    [
      'a field given twice',
      'vault: main',
      'vault: main\nvault: other',
      'p.yaml:4:1: vault is given twice',
    ],
    [
      'a name of the prototype',
      'vault:',
      '__proto__: { name: x }\nvault:',
      'p.yaml:3:1: there is no field __proto__',
    ],
    ['a cron text without quotes', 'every: 1h', 'cron: */15 * * * *', 'needs quotes'],
    ['a star without quotes', '[production]', '[*-db]', 'needs quotes'],
    ['a tag', 'main', '!!js/function "x"', 'p.yaml:3:22: the tag'],
    [
      'a key that is no text',
      'vault:',
      '1: x\nvault:',
      'p.yaml:3:1: the name of a field must be a text',
    ],
    ['something that is no policy', ONE, '- 1', 'p.yaml:1:1: '],
    ['broken YAML', 'main', '"main', 'p.yaml:'],
  ])('says where %s is', (_, from, to, expected) => {
    expect(refusal(changed(from, to))).toContain(expected);
  });

  it('names all problems, and both places of a name given twice', () => {
    const message = refusal(`${ONE}---\n${ONE}---\nname: x\n`);

    expect(message).toContain('p.yaml:6:7: a policy called servers stands at p.yaml:1:7 already');
    expect(message).toContain('p.yaml:11:1: selector: is missing');
    expect(message).toContain('p.yaml:11:1: schedule: is missing');
  });

  it('shares no prototype with what it read', () => {
    refusal(`${ONE}constructor: { prototype: { polluted: 1 } }\n`);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it.each([
    ['too large', 'a'.repeat(POLICY_TEXT_MAX + 1), 'larger than 256 KiB'],
    ['made of brackets', '['.repeat(POLICY_TEXT_MAX), 'too many words'],
    ['deep', `a: ${'['.repeat(40)}${']'.repeat(40)}`, 'nested more than 12 deep'],
    ['a cycle', 'policies: &a [*a]', 'nested more than 12 deep'],
    [
      'a bomb of aliases',
      Array.from({ length: 9 }, (_, i) =>
        i === 0 ? 'a0: &a0 [x,x,x,x,x,x,x,x]' : `a${i}: &a${i} [${`*a${i - 1},`.repeat(9)}]`,
      ).join('\n'),
      'too many values',
    ],
    [
      'of very many keys',
      Array.from({ length: 12_000 }, (_, i) => `k${i}: 1`).join('\n'),
      'too many words',
    ],
  ])('refuses a text that is %s, quickly', (_, text, expected) => {
    expect(refusal(text)).toContain(expected);
  });

  it('reads the example of the documents, which has every field', () => {
    const page = readFileSync(new URL('../../../docs/protection.md', import.meta.url), 'utf8');
    const example = /```yaml\n([^]*?)```/.exec(page)?.[1] ?? '';
    const read = readPolicies(example, 'protection.md').policies.map(({ document }) => document);

    expect(read.map(({ name }) => name)).toEqual(['servers', 'everything-else']);
    const fields = new Set(read.flatMap((document) => Object.keys(document)));
    const missing = Object.keys(PolicyDocument.shape).filter((field) => !fields.has(field));
    expect(missing).toEqual(['guestCommands', 'group']);
  });

  it('takes anchors that people use', () => {
    const text = `policies:
  - name: a
    selector: &s { all: true }
    vault: main
    schedule: { every: 1h }
  - { name: b, selector: *s, vault: main, schedule: { every: 2h } }
`;
    expect(readPolicies(text, 'p').policies.map(({ document }) => document.selector.all)).toEqual([
      true,
      true,
    ]);
  });
});
