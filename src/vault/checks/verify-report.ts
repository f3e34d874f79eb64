/**
 * What was proven. 0: packs exist, as long as they were written. 1: also footers, the map, content
 * MACs and the link to the parent. 2: also every frame, decrypted and decompressed. 3: also the id
 * of every chunk.
 */
export type VerifyLevel = 0 | 1 | 2 | 3;

export interface VerifyProblem {
  readonly code: string;
  readonly message: string;
  readonly diskId?: string;
}

export interface VerifyReport {
  readonly pointId: string;
  /** The level reached: 2 instead of 3 if this machine cannot compute the vault's chunk ids. */
  readonly level: VerifyLevel;
  /** Why a lower level than the requested one was reached. */
  readonly stoppedBy?: 'vault.chunk-id-unavailable';
  readonly ok: boolean;
  readonly packs: number;
  readonly frames: number;
  readonly chunks: number;
  readonly fetchedBytes: number;
  readonly problems: readonly VerifyProblem[];
}
