import { AsyncLocalStorage } from 'node:async_hooks';

/** Who the service acts for when nobody asked: its own schedules and care. */
export const SERVICE_ACTOR = 'service';

const acting = new AsyncLocalStorage<string>();

/** Runs `work`, and everything that it starts, on behalf of somebody, or of the service itself. */
export function actingAs<T>(actor: string | undefined, work: () => T): T {
  return acting.run(actor ?? SERVICE_ACTOR, work);
}

/**
 * Returns on whose behalf the present work runs: the name of a token, `local` for whoever may use
 * the socket of the home, or `service`.
 */
export function currentActor(): string {
  return acting.getStore() ?? SERVICE_ACTOR;
}
