import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import {
  EVENTS,
  GuestWeeks,
  PROFILES,
  type GuestProfile,
} from '../support/suspicion/guest-weeks.ts';

/**
 * Weeks of guests in real vaults: `npm run soak -- suspicion --weeks 30 --seeds 3`. Fails if a
 * guest raises more than one false alarm, or if an attack is not noticed by its second day (by its
 * third where the guest does not trim).
 */
const { values } = parseArgs({
  options: {
    weeks: { type: 'string', default: '30' },
    seeds: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
  },
});

const first = Number(values.seed);
console.log(`seeds from ${String(first)}`);
for (const profile of PROFILES) {
  for (let seed = first; seed < first + Number(values.seeds); seed += 1) {
    await live(profile, seed);
  }
}

async function live(profile: GuestProfile, seed: number): Promise<void> {
  await using life = await GuestWeeks.begin(profile, seed);
  const alarms: string[] = [];
  for (let day = 0; day < Number(values.weeks) * 7; day += 1) {
    const isEventful = day > 7 && day % 7 === 3;
    const event = isEventful ? EVENTS[life.guest.number(EVENTS.length)] : undefined;
    const found = await life.day(event);
    if (found !== undefined) {
      alarms.push(`day ${String(day)}, ${event ?? 'nothing'}: ${JSON.stringify(found.signals)}`);
      life.answer();
    }
  }
  let noticed = await life.attack(5, 'in-place');
  noticed ??= await life.attack(20, 'in-place');
  const bySecond = noticed !== undefined;
  // Removed files count as content, and dumps do what encryption does: it takes more.
  noticed ??= !profile.trims ? await life.attack(80, 'in-place') : undefined;
  console.log(
    `${profile.name} ${String(seed)}: ${String(alarms.length)} false alarms, attack ${noticed === undefined ? 'NOT NOTICED' : bySecond ? 'noticed by the second' : 'noticed by the third'}`,
    ...alarms,
  );
  assert(alarms.length <= 1, 'too many false alarms');
  assert(noticed !== undefined, 'the attack was not noticed in time');
}
