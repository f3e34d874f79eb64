import { formatDuration } from './quantities.ts';

/** Nobody takes a shorter silence for a hang. */
const QUIET_MS = 2000;
const REMIND_MS = 30_000;

/**
 * Says after two seconds, and then every half minute, that the command is waiting for an answer.
 */
export async function withSignOfLife<T>(
  work: Promise<T>,
  say: (sentence: string) => void,
  { quietMs = QUIET_MS, remindMs = REMIND_MS } = {},
): Promise<T> {
  const startMs = performance.now();
  let reminder: NodeJS.Timeout | undefined;
  const first = setTimeout(() => {
    say('The service has not answered yet; waiting for it. Ctrl-C stops the waiting.');
    reminder = setInterval(() => {
      const waitedMs = performance.now() - startMs;
      say(`Still waiting for the service, ${formatDuration(waitedMs)} so far.`);
    }, remindMs);
  }, quietMs);
  try {
    return await work;
  } finally {
    clearTimeout(first);
    clearInterval(reminder);
  }
}
