import { CorruptionLab } from './corruption-lab.ts';
import { seededNumbers } from '../random/seeded-numbers.ts';
import { changeObject, keysOf } from './vault-damage.ts';
import { signal } from './vault-lab.ts';

/**
 * Changes one byte of one object at a time, both at random, and restores everything. What cannot be
 * restored, verify at level 3 must not call whole.
 * @throws Error with place and seed if a wrong byte was restored, verify was silent, or anything
 * but a fault came
 */
export async function randomCorruptions(
  count: number,
  seed: number,
  {
    partBytes,
    report = () => undefined,
  }: { readonly partBytes?: number; readonly report?: (done: number) => void } = {},
): Promise<{ tried: number; outcomes: ReadonlyMap<string, number> }> {
  const lab = await CorruptionLab.create(partBytes);
  const store = await lab.clone();
  const objects: { key: string; bytes: Uint8Array }[] = [];
  for (const key of await keysOf(store, '')) {
    objects.push({ key, bytes: (await store.get(key, signal)) ?? new Uint8Array() });
  }
  const random = seededNumbers(seed);
  const outcomes = new Map<string, number>();
  for (let done = 0; done < count; done++) {
    // By object, not by byte: else almost all would hit the data.
    const { key, bytes } = objects[random(objects.length)] ?? { key: '', bytes: new Uint8Array() };
    const offset = random(bytes.length);
    const mask = 1 + random(255);
    await changeObject(store, key, (whole) => {
      const changed = Uint8Array.from(whole);
      changed[offset] = (changed[offset] ?? 0) ^ mask;
      return changed;
    });
    try {
      const outcome = await lab.restore(store);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (outcome !== 'same' && (await lab.isProven(store))) {
        throw new Error('VERIFY FOUND NOTHING IN WHAT CANNOT BE RESTORED');
      }
    } catch (error) {
      const place = `${key} at ${String(offset)} xor ${String(mask)}, seed ${String(seed)}`;
      throw new Error(place, { cause: error });
    }
    await changeObject(store, key, () => bytes);
    report(done + 1);
  }
  return { tried: count, outcomes };
}
