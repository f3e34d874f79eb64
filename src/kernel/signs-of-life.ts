import { AsyncLocalStorage } from 'node:async_hooks';

const listening = new AsyncLocalStorage<() => void>();

/** Runs `work`, and calls `listener` with every sign that it, or what it starts, goes on. */
export function listeningForLife<T>(listener: () => void, work: () => T): T {
  return listening.run(listener, work);
}

/**
 * Says that the present work goes on: something answered, or it waits for what is known to take
 * long. Whoever says nothing for long counts as stuck.
 */
export function showLife(): void {
  listening.getStore()?.();
}
