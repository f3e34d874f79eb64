/**
 * All limits of docs/vault-format.md, section 12; limits.spec.ts compares the two. Encoders,
 * decoders and the API's contract take them from here, so that nothing is written that nobody
 * reads. Characters are UTF-16 code units.
 */

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

// Names: section 2.
/** `n` and `epoch`: 12 digits. */
export const OBJECT_NUMBER_MAX = 999_999_999_999;

// Packs: section 6.
export const PACK_BYTES_MAX = 256 * MEBIBYTE;
/** Limits of the size to which a writer fills a data pack. */
export const PACK_TARGET_BYTES_MIN = 64 * KIBIBYTE;
export const PACK_TARGET_BYTES_MAX = 128 * MEBIBYTE;
export const FOOTER_BYTES_MAX = 2 * MEBIBYTE;
export const FRAMES_MAX = 4096;
export const SLOTS_MAX = 65_535;
export const GENERATION_MAX = 0xffff_ffff;
export const DATA_FRAME_RAW_BYTES_MAX = 2 * MEBIBYTE;
export const METADATA_FRAME_RAW_BYTES_MAX = MEBIBYTE;

// Maps: section 7.
export const DEPTH_MAX = 3;
/** @public Held by the limit of a metadata frame, which is the same. */
export const NODE_BYTES_MAX = MEBIBYTE;
export const NODE_CHILDREN_MAX = 256;
export const LEAF_EXTENTS_MAX = 16_384;
export const LEAF_PACKS_MAX = 16_384;

// Recovery points: section 8.
/** Size of the JSON. */
export const POINT_JSON_BYTES_MAX = 4 * MEBIBYTE;
/** With header and tag. */
export const POINT_OBJECT_BYTES_MAX = POINT_JSON_BYTES_MAX + 64 + 16;
/** Names of VMs, disks and files, and ids of disks and tracking. */
export const NAME_CHARACTERS_MAX = 1024;
/** Each text of an origin. */
export const ORIGIN_CHARACTERS_MAX = 256;
/** VMs of a set of points of one moment. */
export const GROUP_MEMBERS_MAX = 64;
export const NOTES_MAX = 1000;
export const NOTE_CHARACTERS_MAX = 4096;
export const POINT_DISKS_MAX = 1024;
export const POINT_FILES_MAX = 1024;
export const FILE_SLOTS_MAX = 4096;

// Control objects: section 5.
export const CONTROL_BODY_BYTES_MAX = 64 * MEBIBYTE;
/** With preamble and MAC. */
export const CONTROL_OBJECT_BYTES_MAX = CONTROL_BODY_BYTES_MAX + 36 + 32;
export const VAULT_NAME_CHARACTERS_MAX = 256;
/** `confirmed` is the key of an object. */
export const CONFIRMED_CHARACTERS_MAX = 128;
export const CHUNK_SECTORS_MAX = 512;
export const CUT_BITS_MAX = 16;
export const LOCK_DAYS_MAX = 3650;
export const HOLD_REASON_CHARACTERS_MAX = 4096;
export const ALIASES_MAX = 1_048_576;
/** Longer chains are not followed: a merged pack may be merged again, but not endlessly. */
export const ALIAS_CHAIN_MAX = 16;
export const LIST_PACKS_MAX = 4_194_304;
export const PROBE_DETAIL_CHARACTERS_MAX = 512;
export const PROBE_LOCATION_CHARACTERS_MAX = 2048;

// Keys: section 4.
/** Size of the JSON. */
export const KEY_JSON_BYTES_MAX = 64 * KIBIBYTE;
/** With magic, length and hash. */
export const KEY_OBJECT_BYTES_MAX = KEY_JSON_BYTES_MAX + 12 + 32;
export const KEY_VERSIONS_MAX = 64;
/** Further objects are not tried: each costs an Argon2 run. */
export const KEY_OBJECTS_MAX = 32;
/** Total for all objects, in KiB of memory times passes. It allows one at the limits below. */
export const KEY_COST_MAX = 1_048_576 * 64;
export const KEY_LABEL_CHARACTERS_MAX = 64;
export const KDF_MEMORY_KIB_MAX = 1_048_576;
export const KDF_PASSES_MAX = 64;
export const KDF_LANES_MAX = 64;
