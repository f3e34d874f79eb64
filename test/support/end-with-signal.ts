const endings = new Set<() => Promise<void>>();
let isListening = false;

/**
 * Ends work when a signal ends this process, which disposes of nothing: a soak that is stopped
 * would leave its services behind.
 *
 * @returns a function that forgets it, for work that has ended
 */
export function endWithSignal(end: () => Promise<void>): () => void {
  endings.add(end);
  if (!isListening) {
    isListening = true;
    for (const [name, code] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
      ['SIGHUP', 129],
    ] as const) {
      process.once(name, () => {
        void endAll().finally(() => process.exit(code));
      });
    }
  }
  return () => endings.delete(end);
}

/** What began later uses what began earlier. */
async function endAll(): Promise<void> {
  for (const end of [...endings].reverse()) {
    await end().catch(() => undefined);
  }
}
