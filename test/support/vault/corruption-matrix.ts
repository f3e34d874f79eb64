import { writeFile } from 'node:fs/promises';
import type { MemoryObjectStore } from './memory-object-store.ts';
import { CorruptionLab } from './corruption-lab.ts';
import { formatted } from '../markdown.ts';
import { changeObject, cut, flip, keysOf, remove, type Damage } from './vault-damage.ts';
import { signal } from './vault-lab.ts';

interface ObjectKind {
  readonly name: string;
  /** The objects of this kind that the damage is done to: the first; swapped with the second. */
  readonly keys: (all: readonly string[]) => string[];
  /** Offsets into the object; negative ones count from its end. */
  readonly fields: Readonly<Record<string, number>>;
}

const CONTROL = { magic: 0, version: 8, kind: 10, 'vault id': 20, body: 38, MAC: -1 };
const PACK = { header: 10, 'frame prefix': 66, frame: 100, footer: -70, trailer: -1 };
const begins =
  (prefix: string, rest = /./) =>
  (all: readonly string[]): string[] =>
    all.filter((key) => key.startsWith(prefix) && rest.test(key));

const KINDS: readonly ObjectKind[] = [
  { name: 'fmt', keys: begins('fmt/'), fields: CONTROL },
  { name: 'keys', keys: begins('keys/'), fields: { magic: 0, body: 40, hash: -1 } },
  { name: 'd', keys: begins('d/'), fields: PACK },
  { name: 'm', keys: begins('m/'), fields: PACK },
  {
    name: 's',
    keys: begins('s/1', /[^k]$/),
    fields: { magic: 0, version: 8, features: 33, 'header checksum': 61, body: 80 },
  },
  { name: 's .ok', keys: begins('s/1', /\.ok$/), fields: CONTROL },
  { name: 'retire', keys: begins('retire/'), fields: CONTROL },
  { name: 'gc', keys: begins('gc/'), fields: CONTROL },
  { name: 'bad', keys: begins('bad/'), fields: CONTROL },
  { name: 'alias', keys: begins('alias/'), fields: CONTROL },
];

/** One way to damage the vault. */
export interface MatrixCase {
  readonly object: string;
  readonly what: string;
}

export interface MatrixRow extends MatrixCase {
  /** Empty: by nothing. */
  readonly detectedBy: readonly string[];
  readonly repairedBy: string;
}

/**
 * Every kind of object, flipped in every field, cut, exchanged, removed: what real code finds and
 * mends.
 */
export class CorruptionMatrix {
  readonly cases: readonly MatrixCase[];
  readonly #lab: CorruptionLab;
  readonly #damages: ReadonlyMap<MatrixCase, (store: MemoryObjectStore) => Promise<void>>;

  private constructor(
    lab: CorruptionLab,
    damages: ReadonlyMap<MatrixCase, (store: MemoryObjectStore) => Promise<void>>,
  ) {
    this.#lab = lab;
    this.#damages = damages;
    this.cases = [...damages.keys()];
  }

  static async create(): Promise<CorruptionMatrix> {
    const lab = await CorruptionLab.create();
    const all = await keysOf(lab.store, '');
    const damages = new Map<MatrixCase, (store: MemoryObjectStore) => Promise<void>>();
    for (const { name: object, keys, fields } of KINDS) {
      const [key = '', other] = keys(all);
      const changing = (what: string, damage: Damage): void => {
        damages.set({ object, what }, async (store) => changeObject(store, key, damage));
      };
      for (const [field, offset] of Object.entries(fields)) {
        changing(`flip: ${field}`, flip(offset));
      }
      changing('truncate: the last byte', cut(-1));
      changing('truncate: empty', cut(0));
      if (other !== undefined) {
        damages.set({ object, what: 'swap: two of a kind' }, async (store) => {
          const [one, two] = [await store.get(key, signal), await store.get(other, signal)];
          await changeObject(store, key, () => two);
          await changeObject(store, other, () => one);
        });
      }
      changing('remove', remove);
    }
    return new CorruptionMatrix(lab, damages);
  }

  async row(one: MatrixCase): Promise<MatrixRow> {
    const damaged = async (): Promise<MemoryObjectStore> => {
      const store = await this.#lab.clone();
      await this.#damages.get(one)?.(store);
      return store;
    };
    const detectedBy = await this.#lab.detectedBy(await damaged());
    return { ...one, detectedBy, repairedBy: await this.#lab.repairedBy(damaged) };
  }

  async rows(): Promise<MatrixRow[]> {
    const rows: MatrixRow[] = [];
    for (const one of this.cases) {
      rows.push(await this.row(one));
    }
    return rows;
  }
}

const HEAD = `# What damage does, what notices it, what mends it

Written by \`node test/support/vault/corruption-matrix.ts\`; \`test/integration/vault/corruption.spec.ts\` compares some of the
rows, others in each run. Each row is one object of a small vault with two points, damaged in one way; the columns are
what the real code answered.

**Noticed by**: \`open\` the vault cannot be opened; \`list\` a point is missing from the list, or one that was given up is
in it again; \`L0\` to \`L3\` the lowest level of \`rescue verify\` that finds it; \`crc scrub\` the scrub without a key;
\`restore\` ends with a fault, never with a wrong byte; \`backup\` writers refuse to begin; \`log\` a warning or an error is
logged. \`-\`: by nothing here.

**Mended by**, the first that does: \`the vault itself\` (\`rescue repair\`), \`the next backup\` of the same content after a
scrub, \`a copy\` (\`rescue repair --copy\`), or a copy \`when told to overwrite\`: objects that exist are not written to
unless somebody says so (\`--overwrite\`; on a bucket with versions the old bytes stay). Where the store has versions and
object lock, the first version of a key is another remedy for all of them. \`by hand\`: put the object back from the copy
under its name.

**Single bytes.** \`npm run soak -- corruption\` on 2026-11-22 (seed 20261122): one random byte of one object changed,
10,000 times, in a vault with two points of 2.5 MiB each and frames as long as they get (2 MiB); everything restored
each time. No wrong byte: 6,261 times all came back whole, 3,739 times there was a fault. \`npm test\` does 100 on small
frames.

`;

/** docs/corruption.md for these rows. */
export async function corruptionPage(rows: readonly MatrixRow[]): Promise<string> {
  const cells = rows.map(({ object, what, detectedBy, repairedBy }) => [
    object,
    what,
    detectedBy.length === 0 ? '-' : detectedBy.join(', '),
    repairedBy,
  ]);
  const titles = ['object', 'what', 'noticed by', 'mended by'];
  const rule = titles.map(() => '---');
  const lines = [titles, rule, ...cells].map((cell) => `| ${cell.join(' | ')} |`);
  return await formatted(`${HEAD}${lines.join('\n')}\n`);
}

/** The rows that a page shows. */
export function rowsOf(page: string): MatrixRow[] {
  const [, , ...lines] = page.split('\n').filter((line) => line.startsWith('| '));
  return lines.map((line) => {
    const [, object = '', what = '', noticed = '', repairedBy = ''] = line
      .split('|')
      .map((cell) => cell.trim());
    const detectedBy = noticed === '-' ? [] : noticed.split(', ');
    return { object, what, detectedBy, repairedBy };
  });
}

if (import.meta.main) {
  const matrix = await CorruptionMatrix.create();
  const page = await corruptionPage(await matrix.rows());
  await writeFile(new URL('../../../docs/corruption.md', import.meta.url), page);
}
