// node test/proof/mutants.main.ts N…: removes the checks with these numbers from the code, one
// after the other, and prints, as JSON, which kinds of damage were still told from the others.
import { registerHooks } from 'node:module';
import { DAMAGES } from './damages.ts';
import { EXPECTED } from './expected.ts';
import { MUTANTS } from './mutants.ts';
import { ProofLab, type Judges } from './proof-lab.ts';
import { asText } from './verdicts.ts';

const MARK = '?mutant=';
const PLACE = '/src/vault/';

/** A mutant imports its own modules, one of them without the check. */
registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const mutant = context.parentURL?.split(MARK)[1];
    return mutant !== undefined && resolved.url.includes(PLACE)
      ? { ...resolved, url: resolved.url + MARK + mutant }
      : resolved;
  },
  load(url, context, next) {
    const [file = '', mutant] = url.split(MARK);
    const loaded = next(file, context);
    const { from = '', to = '', file: changed = '' } = MUTANTS[Number(mutant)] ?? {};
    if (mutant === undefined || !file.endsWith(`${PLACE}${changed}`)) {
      return loaded;
    }
    const [before = '', after, ...more] = textOf(loaded.source).split(from);
    if (after === undefined || more.length > 0) {
      throw new Error(`${changed} does not have exactly one: ${from}`);
    }
    return { ...loaded, source: before + to + after };
  },
});

function textOf(source: unknown): string {
  if (typeof source === 'string') {
    return source;
  }
  return source instanceof Uint8Array ? Buffer.from(source).toString('utf8') : '';
}

async function judgesOf(mutant: number): Promise<Judges> {
  const load = async <T>(file: string): Promise<T> =>
    (await import(
      new URL(`../..${PLACE}${file}${MARK}${String(mutant)}`, import.meta.url).href
    )) as T;
  const [vault, ledger, scrub, collector, copy] = [
    await load<Pick<Judges, 'Vault'>>('vault.ts'),
    await load<Pick<Judges, 'MemoryProofLedger'>>('checks/proof-ledger.ts'),
    await load<Pick<Judges, 'scrub' | 'scrubWithoutKey'>>('checks/scrub.ts'),
    await load<Pick<Judges, 'collectVault'>>('collect/collector.ts'),
    await load<Pick<Judges, 'packDamage'>>('copy/keyless-pack-check.ts'),
  ];
  return { ...vault, ...ledger, ...scrub, ...collector, ...copy };
}

const lab = await ProofLab.create();
const survivors: string[] = [];
const places = process.argv.slice(2).map(Number);
for (const index of places) {
  const { name, killedBy } = MUTANTS[index] ?? { name: `${index}?`, killedBy: '' };
  const store = await lab.clone();
  await DAMAGES[killedBy]?.(lab, store);
  const said = asText(await lab.judge(await judgesOf(index), store));
  if (said === EXPECTED[killedBy]) {
    survivors.push(name);
  }
}
console.log(JSON.stringify({ mutants: places.length, survivors }));
