import { Draw } from '../../support/draw.ts';
import {
  newWorld,
  problemsAfter,
  sameWorld,
  SEAM_NAMES,
  type SeamName,
  type SeamWorld,
} from '../../support/vault/seams.ts';

const draw = new Draw('seams');
const ROUNDS = draw.count(2, SEAM_NAMES.length);

/** Each operation before two others and after two others, which are drawn. */
function pairs(): [SeamName, SeamName][] {
  const [firsts, seconds] = [SEAM_NAMES, draw.shuffled(SEAM_NAMES)];
  const others = (round: number) => [...seconds.slice(round), ...seconds.slice(0, round)];
  return Array.from({ length: ROUNDS }, (_, round) =>
    others(round).map((second, place): [SeamName, SeamName] => [firsts[place] ?? second, second]),
  ).flat();
}

describe('every point is whole after', () => {
  let begin: SeamWorld;
  beforeAll(async () => {
    begin = await newWorld();
  });

  it.each(pairs())('%s, then %s', async (first, second) => {
    expect(await problemsAfter(await sameWorld(begin), [first, second])).toEqual([]);
  });
});
