import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { basename } from 'node:path';
import { HandLab } from '../../support/outside-hands/hand-lab.ts';
import { outsideHands } from '../../support/outside-hands/outside-hands.ts';

/** Seeds with a short life each; `npm run soak -- outside-hands` goes on with others. */
const SEEDS = [3, 17];
const ROUNDS = 6;

describe('A VM on whose disks administrators lay hands', () => {
  it.each(SEEDS)('is backed up as its chain is, or refused (seed %d)', async (seed) => {
    const lines: string[] = [];
    const log = (line: string) => lines.push(line);

    const counts = await outsideHands({ seed, rounds: ROUNDS, log }).catch((error: unknown) => {
      throw new Error(lines.join('\n'), { cause: error });
    });

    expect(counts.get('sealed')).toBeGreaterThanOrEqual(ROUNDS);
  });

  it('keeps no merged layer when the folder of its images was hidden for a moment', async () => {
    await using hands = await HandLab.create();
    const { signal } = new AbortController();
    const elsewhere = `${hands.diskFolder}-away`;
    const freeze = async (): Promise<void> => {
      const frozen = await hands.engine.freeze(
        hands.vm,
        { jobToken: 'job', crashConsistent: true },
        signal,
      );
      await frozen[Symbol.asyncDispose]();
    };
    await hands.engine.start(hands.vm, signal);
    await freeze();
    await hands.engine.close();
    const steps: string[] = [];
    hands.engine = hands.lab.engine({
      onStep: async (step) => {
        steps.push(step);
        if (step === 'merge-closed' && !existsSync(elsewhere)) {
          renameSync(hands.diskFolder, elsewhere);
          mkdirSync(hands.diskFolder);
        }
      },
    });
    await freeze();
    await hands.engine.close();
    expect(steps).toContain('merge-closed');
    expect(readdirSync(hands.diskFolder)).toEqual([]);
    rmdirSync(hands.diskFolder);
    renameSync(elsewhere, hands.diskFolder);
    await hands.nextService();

    await hands.engine.reconcile(signal);
    await hands.engine.close();

    const { disks, leftovers } = hands.state();
    const layers = disks.flatMap((disk) => disk.layers.map(({ path }) => basename(path)));
    expect(readdirSync(hands.diskFolder).sort()).toEqual(layers.sort());
    expect(leftovers).toEqual([]);
  });
});
