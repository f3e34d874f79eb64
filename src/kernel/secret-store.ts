/**
 * Where secrets rest on this host, readable by the service alone.
 *
 * An implementation promises: a `put` that resolved is durable; what `get` returns is what was put,
 * or it throws; neither names nor values reach a log.
 */
export abstract class SecretStore {
  /** Keeps `secret` under `name` (`[a-z0-9-]`, at most 80), replacing what was there. */
  abstract put(name: string, secret: Uint8Array): Promise<void>;

  /**
   * The secret, or `undefined` if there is none.
   * @throws Fault `secret.exposed` when others could read it, `secret.unreadable` when it was
   * changed
   */
  abstract get(name: string): Promise<Uint8Array | undefined>;

  /** Removing what is not there succeeds. */
  abstract remove(name: string): Promise<void>;
}
