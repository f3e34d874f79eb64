/**
 * Name of an object inside a vault: `/`-separated parts of `[A-Za-z0-9._-]`, no `.` or `..` part.
 */
export type ObjectKey = string;

/** A part of an object. `suffix` counts from its end; a shorter object is returned whole. */
export type ObjectRange =
  { readonly offset: number; readonly length: number } | { readonly suffix: number };

export interface ObjectPart {
  readonly data: Uint8Array;
  /** Size of the whole object in bytes. */
  readonly objectSize: number;
}
