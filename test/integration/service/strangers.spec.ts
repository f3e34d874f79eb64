import { HomeLab } from '../../support/strangers/home-lab.ts';
import { attackAll, type Outcome } from '../../support/strangers/round.ts';
import { whyNoStrangers } from '../../support/strangers/stranger.ts';

const reason = await whyNoStrangers();
if (reason !== undefined) {
  console.log(`Another user of the machine is not tried: ${reason}.`);
}

(reason === undefined ? it : it.skip)(
  'another user of the machine reads, reaches, imitates and deletes nothing',
  async () => {
    const { signal } = new AbortController();
    await using lab = await HomeLab.make(signal);

    const outcomes: Outcome[] = [];
    for await (const outcome of attackAll(lab, signal)) {
      outcomes.push(outcome);
    }

    expect(outcomes.filter(({ through }) => through.length > 0)).toEqual([]);
    expect(outcomes.length).toBeGreaterThanOrEqual(25);
  },
);
