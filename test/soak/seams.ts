// npm run soak -- seams [--minutes N] [--seed N] [--operations N]
//
// Random operations on a vault, one after the other, each by a process that may have opened the
// vault before the ones before it: rotation, repair, copies, healing, collections. After each,
// every point is verified at level 3, restored and compared. A process that knows too little may
// refuse; it must not lose anything. What an operation damages first and is then refused to heal
// has to be called damaged, and is healed by a process that opens the vault anew.
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { isFault } from '../../src/kernel/fault.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { seededNumbers } from '../support/random/seeded-numbers.ts';
import {
  isDamaging,
  lookAt,
  newWorld,
  openWorld,
  problemsOf,
  sameWorld,
  SEAM_MENDS,
  SEAM_NAMES,
  SEAM_OPERATIONS,
  type SeamName,
  type SeamWorld,
} from '../support/vault/seams.ts';

const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: '4' },
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
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
console.log(`${rounds} rounds of ${values.operations} operations, nothing lost`);
for (const [what, count] of refused) {
  console.log(`refused by a process that had opened the vault before: ${what}, ${count} times`);
}

async function round(world: SeamWorld): Promise<void> {
  const done: string[] = [];
  let held = await openWorld(world);
  for (let step = 0; step < Number(values.operations); step++) {
    const name = SEAM_NAMES[number(SEAM_NAMES.length)] ?? 'copy';
    const isHeld = number(3) === 0;
    const vault = isHeld ? held : await openWorld(world);
    done.push(isHeld ? `${name} (opened before)` : name);
    try {
      await operate(world, name, vault, isHeld);
    } catch (error) {
      throw new Error(`round ${rounds}: ${done.join(', ')}`, { cause: error });
    }
    if (!isHeld) {
      await held.close();
      held = vault;
    }
  }
  await held.close();
}

/** Everything is whole when it returns, even if the operation was refused. */
async function operate(
  world: SeamWorld,
  name: SeamName,
  vault: Vault,
  isHeld: boolean,
): Promise<void> {
  const isRefused = await isRefusedTo(world, name, vault, isHeld);
  if (isRefused && isDamaging(name)) {
    const { wrong } = await lookAt(world);
    assert.deepEqual(wrong, []);
    await repeated(world, name);
  }
  assert.deepEqual(await problemsOf(world), []);
}

/** @returns whether the process that had opened the vault before was refused the operation */
async function isRefusedTo(
  world: SeamWorld,
  name: SeamName,
  vault: Vault,
  isHeld: boolean,
): Promise<boolean> {
  try {
    await SEAM_OPERATIONS[name](world, vault);
    return false;
  } catch (error) {
    if (!isHeld || !isFault(error)) {
      throw error;
    }
    const what = `${name}: ${error.code}`;
    refused.set(what, (refused.get(what) ?? 0) + 1);
    return true;
  }
}

/** A process that opens the vault again heals the damage. */
async function repeated(world: SeamWorld, name: keyof typeof SEAM_MENDS): Promise<void> {
  const vault = await openWorld(world);
  await SEAM_MENDS[name](world, vault);
  await vault.close();
}
