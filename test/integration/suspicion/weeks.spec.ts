import { Draw } from '../../support/draw.ts';
import { EVENTS, GuestWeeks, PROFILES } from '../../support/suspicion/guest-weeks.ts';

const WEEKS = 3;

describe('suspicion over the weeks of a guest, in a real vault', () => {
  const draw = new Draw('suspicion');
  const [profile = PROFILES[0]] = draw.shuffled(PROFILES);

  it(`is had of encryption by the second day of it, and of nothing else (${profile?.name ?? ''}, seed ${String(draw.seed)})`, async () => {
    if (profile === undefined) {
      throw new Error('there is no profile');
    }
    await using life = await GuestWeeks.begin(profile, draw.seed);
    const events = draw.shuffled(EVENTS);
    const alarms: unknown[] = [];
    for (let day = 0; day < WEEKS * 7; day += 1) {
      const event = day > 7 && day % 3 === 0 ? events[day / 3 - 3] : undefined;
      const found = await life.day(event);
      alarms.push(...(found === undefined ? [] : [{ day, event, found }]));
    }
    expect(alarms).toEqual([]);

    const first = await life.attack(5, 'in-place');
    const second = first ?? (await life.attack(20, 'in-place'));
    const before = life.points.slice(WEEKS * 7, -1).map(({ id }) => id);
    expect(before).toContain(second?.lastCleanId);
  }, 120_000);
});
