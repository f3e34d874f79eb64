import { Draw } from '../../support/draw.ts';
import { EVENTS, GuestWeeks, PROFILES } from '../../support/suspicion/guest-weeks.ts';

const WEEKS = 3;

describe('suspicion over the weeks of a guest, in a real vault', () => {
  const draw = new Draw('suspicion');
  const [profile = PROFILES[0]] = draw.shuffled(PROFILES);

  it(`is had of encryption within days, and hardly of anything else (${profile?.name ?? ''}, seed ${String(draw.seed)})`, async () => {
    if (profile === undefined) {
      throw new Error('there is no profile');
    }
    await using life = await GuestWeeks.begin(profile, draw.seed);
    const events = draw.shuffled(EVENTS);
    const alarms: unknown[] = [];
    for (let day = 0; day < WEEKS * 7; day += 1) {
      const event = day > 7 && day % 3 === 0 ? events[day / 3 - 3] : undefined;
      const found = await life.day(event);
      if (found !== undefined) {
        alarms.push({ day, event, found });
        life.answer();
      }
    }
    expect(alarms.slice(1)).toEqual([]);

    const clean = life.points.map(({ id }) => id);
    let found = await life.attack(5, 'in-place');
    const last = clean.concat(life.points.at(-1)?.id ?? '');
    found ??= await life.attack(20, 'in-place');
    // Most lives need no more than that; the soak tells how many. A guest that does not trim does:
    // its removed files count as content.
    found ??= await life.attack(80, 'in-place');
    last.push(life.points.at(-2)?.id ?? '');
    expect(last.slice(-6)).toContain(found?.lastCleanId);
  }, 120_000);
});
