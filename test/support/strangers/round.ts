import type { Attack } from './attack.ts';
import { FILE_ATTACKS } from './file-attacks.ts';
import type { HomeLab } from './home-lab.ts';
import { AFTERMATH_ATTACKS, SERVICE_ATTACKS } from './service-attacks.ts';

/** What an attack came to: nothing came through, or this did. */
export interface Outcome {
  readonly name: string;
  readonly through: readonly string[];
}

/** All attacks: on the service that runs, on what a killed one leaves, and on the next one. */
export async function* attackAll(lab: HomeLab, signal: AbortSignal): AsyncGenerator<Outcome> {
  yield* each([...FILE_ATTACKS, ...SERVICE_ATTACKS], lab, signal);
  await lab.kill();
  yield* each(AFTERMATH_ATTACKS, lab, signal);
  await lab.startAgain(signal);
  const { exitCode, text } = await lab.cli(['vm', 'list']);
  yield { name: 'after all of it the service works', through: exitCode === 0 ? [] : [text] };
}

async function* each(
  attacks: readonly Attack[],
  lab: HomeLab,
  signal: AbortSignal,
): AsyncGenerator<Outcome> {
  for (const attack of attacks) {
    signal.throwIfAborted();
    yield { name: attack.name, through: await attack.try(lab, signal) };
  }
}
