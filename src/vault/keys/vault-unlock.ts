/** What opens a vault. */
export type VaultUnlock =
  | {
      readonly kind: 'passphrase';
      readonly passphrase: string;
      /** Tries only this key object, by its id or the beginning of it. */
      readonly keyId?: string | undefined;
    }
  | { readonly kind: 'recovery-file'; readonly content: string }
  | { readonly kind: 'master-key'; readonly key: Uint8Array };
