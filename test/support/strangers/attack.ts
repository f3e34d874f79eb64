import type { HomeLab } from './home-lab.ts';

/** Something that another user of the machine tries. */
export interface Attack {
  readonly name: string;
  /** Returns what succeeded, in words; empty if everything held. */
  try(lab: HomeLab, signal: AbortSignal): Promise<readonly string[]>;
}

/** Returns those of `paths` on which `deed` succeeded. */
export async function onEach(
  lab: HomeLab,
  deed: Parameters<HomeLab['stranger']['tries']>[0],
  paths: readonly string[],
  ...more: string[]
): Promise<string[]> {
  const through: string[] = [];
  for (const path of paths) {
    if ((await lab.stranger.tries(deed, path, ...more)) === 'done') {
      through.push(`${deed} ${path}`);
    }
  }
  return paths.length === 0 ? [`nothing to ${deed}: the attack was none`] : through;
}

/** Returns `problem` if it is so. */
export function when(isSo: boolean, problem: string): string[] {
  return isSo ? [problem] : [];
}
