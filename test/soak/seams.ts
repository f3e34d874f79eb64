// npm run soak -- seams [--minutes N] [--seed N]
//
// Random operations on a vault, one after the other, each by a process that may have opened the vault before the ones
// before it: rotation, repair, copies, healing, collections. After each, every point is verified at level 3, restored and
// compared. A process that knows too little may refuse; it must not lose anything.
import { parseArgs } from 'node:util';
import { isFault } from '../../src/kernel/fault.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { seededNumbers } from '../support/seeded-numbers.ts';
import {
  newWorld,
  openWorld,
  problemsOf,
  sameWorld,
  SEAM_NAMES,
  SEAM_OPERATIONS,
  type SeamName,
  type SeamWorld,
} from '../support/seams.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
/** Refused by a process that knows too little, these would leave damage behind. */
const DAMAGING: readonly SeamName[] = ['repair', 'repair from the copy', 'heal'];
const endsAtMs = performance.now() + Number(values.minutes) * 60_000;
console.log(`seed ${values.seed}`);
const number = seededNumbers(Number(values.seed));
const begin = await newWorld();
const refused = new Map<string, number>();
let rounds = 0;
while (performance.now() < endsAtMs) {
  await round(await sameWorld(begin));
  rounds += 1;
}
console.log(`${rounds} rounds of up to 4 operations, nothing lost`);
for (const [what, count] of refused) {
  console.log(`refused by a process that had opened the vault before: ${what}, ${count} times`);
}

async function round(world: SeamWorld): Promise<void> {
  const done: string[] = [];
  let held = await openWorld(world);
  for (let step = 0; step < 4; step++) {
    const name = SEAM_NAMES[number(SEAM_NAMES.length)] ?? 'copy';
    const isHeld = number(3) === 0 && !DAMAGING.includes(name);
    const vault = isHeld ? held : await openWorld(world);
    done.push(isHeld ? `${name} (opened before)` : name);
    const isRefused = await operate(world, vault, name).catch((error: unknown) => {
      if (!isHeld || !isFault(error)) {
        throw new Error(`round ${rounds}: ${done.join(', ')}`, { cause: error });
      }
      const what = `${name}: ${error.code}`;
      refused.set(what, (refused.get(what) ?? 0) + 1);
      return true;
    });
    if (!isHeld) {
      await held.close();
      held = vault;
    }
    const problems = await problemsOf(world).catch((error: unknown) => {
      throw new Error(`round ${rounds}: ${done.join(', ')}`, { cause: error });
    });
    if (problems.length > 0) {
      throw new Error(`round ${rounds}: ${done.join(', ')}: ${problems.join('; ')}`);
    }
    if (isRefused) {
      // What was done half way has points whose content no disk has any more: nothing could heal those.
      break;
    }
  }
  await held.close();
}

/** @returns false: it was not refused */
async function operate(world: SeamWorld, vault: Vault, name: SeamName): Promise<boolean> {
  await SEAM_OPERATIONS[name](world, vault);
  return false;
}
