import type { StoreRole } from '../vault-credentials.ts';
import type { VaultRegistration } from '../vault-registrations.ts';
import { VaultReach, type HeldVaults, type ReachingHost, type VaultNeed } from './vault-reach.ts';

const vault = (id: string): VaultRegistration => ({
  ...{ id, name: `vault ${id}`, location: `s3://${id}`, singleWriter: false, createdAtMs: 1 },
});
const host = (id: string, vaults: HeldVaults, isLive = true): ReachingHost => ({
  ...{ id, name: `host ${id}`, isLive, vaults },
});
const need = (vaultId: string, role: StoreRole = 'collector'): VaultNeed => ({ vaultId, role });

/** Returns the hosts that think they should do it. */
function takers(hosts: ReachingHost[], needs: VaultNeed[], isSteady = false): string[] {
  return hosts
    .filter(({ id }) => new VaultReach(id, hosts, [vault('v'), vault('w')]).isFor(needs, isSteady))
    .map(({ id }) => id);
}

function problem(hosts: ReachingHost[], needs: VaultNeed[]): string | undefined {
  return new VaultReach('a', hosts, [vault('v'), vault('w')]).problem(needs)?.message;
}

describe('who can do what in vaults', () => {
  it.each<[string, ReachingHost[], VaultNeed[], string[]]>([
    [
      'any host with the key',
      [host('a', { v: [] }), host('b', { v: ['any'] })],
      [need('v')],
      ['a', 'b'],
    ],
    ['no host without it', [host('a', {}), host('b', { v: [] })], [need('v')], ['b']],
    [
      'no host that is silent',
      [host('a', { v: [] }, false), host('b', { v: [] })],
      [need('v')],
      ['b'],
    ],
    [
      'whoever has credentials for just this role',
      [host('a', { v: ['any', 'writer'] }), host('b', { v: ['collector'] })],
      [need('v')],
      ['b'],
    ],
    [
      'others when that one is silent',
      [host('a', { v: ['any'] }), host('b', { v: ['collector'] }, false)],
      [need('v')],
      ['a'],
    ],
    [
      'whoever has all keys',
      [host('a', { v: ['collector'] }), host('b', { v: [], w: [] })],
      [need('v'), need('w', 'writer')],
      ['b'],
    ],
  ])('%s does it', (_, hosts, needs, expected) => {
    expect(takers(hosts, needs)).toEqual(expected);
  });

  it('one host does it each time, as long as it lives, and others do other vaults', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const hosts = ids.map((id) => host(id, { v: [], w: [], x: [], y: [] }));
    const [first, ...none] = takers(hosts, [need('v')], true);

    expect(none).toEqual([]);
    expect(takers(hosts.toReversed(), [need('v')], true)).toEqual([first]);
    const all = ['v', 'w', 'x', 'y'].flatMap((id) => takers(hosts, [need(id)], true));
    expect(new Set(all).size).toBeGreaterThan(1);
    const rest = hosts.map((each) => (each.id === first ? { ...each, isLive: false } : each));
    expect(takers(rest, [need('v')], true).filter((id) => id !== first)).toHaveLength(1);
  });

  it('says what is missing, and who has it', () => {
    expect(problem([host('a', { v: [] })], [need('v')])).toBeUndefined();
    expect(problem([host('a', {})], [need('v')])).toBe(
      'No host that is there has the key of the vault vault v. A host gets it with the passphrase: hyperkeep vault add vault v --location s3://v',
    );
    expect(problem([host('a', {}), host('b', { v: [] }, false)], [need('v')])).toContain(
      'The host host b has, and is silent',
    );
    expect(problem([host('a', { v: [] }), host('b', { w: [] })], [need('v'), need('w')])).toContain(
      'has the keys of the vaults vault v and vault w.',
    );
    expect(problem([host('a', { x: [] })], [need('x')])).toContain('not registered');
  });
});
