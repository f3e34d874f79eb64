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

const PAIRS = SEAM_NAMES.flatMap((first) =>
  SEAM_NAMES.map((second): [SeamName, SeamName] => [first, second]),
);

describe('every point is whole after', () => {
  let begin: SeamWorld;
  beforeAll(async () => {
    begin = await newWorld();
  });

  it.each(PAIRS)('%s, then %s', async (first, second) => {
    const world = await sameWorld(begin);
    for (const name of [first, second]) {
      const vault = await openWorld(world);
      await SEAM_OPERATIONS[name](world, vault);
      await vault.close();
    }

    expect(await problemsOf(world)).toEqual([]);
  });
});
