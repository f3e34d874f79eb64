/** Times of leases. */
export interface LeaseTerms {
  readonly leaseMs: number;
  readonly renewMs: number;
  /** Longer than a job or the main loop stands still for a good reason. */
  readonly standstillMs: number;
}

/** What the thread that renews leases is told. */
export type LeaseOrder =
  | { readonly hold: string; readonly token: string; readonly signs: Int32Array }
  | { readonly release: string };

/** What it tells. */
export interface LeaseNews {
  readonly news: 'lost' | 'cancel' | 'stuck';
  readonly id: string;
}
